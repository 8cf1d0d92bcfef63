package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Data of the first release, commit 8ba4dec: an SQLite file, a dump of Redis and an export.
// They contain the same topics, a rename, a block and a journal.
const firstRelease = "testdata/8ba4dec/"

// secretOfFirstRelease is the secret of these contributions.
const secretOfFirstRelease = "fixture-secret-0123456789"

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Data of the first release opens: its counts are there, its visitors are known, also under an
// alias, and its topics can be renamed and merged.
func TestUpgrade_DataOfTheFirstRelease(t *testing.T) {
	t.Parallel()
	args := []string{"--secret", secretOfFirstRelease, "--admin-token", adminToken, "--site", "blog=https://blog.example.com", "--trusted-proxy", "127.0.0.0/8"}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "tally.db")
		copyFile(t, firstRelease+"tally.db", path)
		checkFirstRelease(t, serve(t, append(args, "--store", "sqlite:"+path)...))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, redistest.Options{Data: firstRelease + "dump.rdb"})
		checkFirstRelease(t, serve(t, append(args, "--store", redis.URL(0))...))
	})
	t.Run("export", func(t *testing.T) {
		t.Parallel()
		s := serve(t, args...)
		t.Log(s.owner().runCommand("import", firstReleaseExport(t)))
		checkFirstRelease(t, s)
	})
}

// firstReleaseExport returns the absolute path of the export.
func firstReleaseExport(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(firstRelease + "export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func checkFirstRelease(t *testing.T, s *service) {
	for topic, want := range map[string]int64{
		"blog/likes/hello": 137, "blog/likes/renamed": 5, "blog/likes/grüße/日本": 4, "blog/claps/hello": 147,
		"blog/visitors/site": 12, "blog/views/hello": 3, "blog/likes/seeded": 9, "blog/likes/spike": 300, "default/likes/a": 1,
	} {
		if got := s.read(topic).Count; got != want {
			t.Errorf("%s counts %d, want %d", topic, got, want)
		}
	}
	known := func(topic, amount string, visitors ...int) {
		t.Helper()
		for _, n := range visitors {
			if c := s.like(topic, visitor(n), amount); c.Changed == nil || *c.Changed {
				t.Errorf("%s counts again at %s: %+v", visitor(n), topic, c)
			}
		}
	}
	known("blog/likes/hello", "1", 1, 40)
	known("blog/likes/renamed", "1", 1, 5)
	known("blog/claps/hello", "14", 2)
	known("blog/visitors/site", "1", 12)
	s.from("127.0.0.1").do("POST", "/v1/blog/likes/hello", "", "Tally-Visitor: visitor-blocked", "X-Forwarded-For: 203.0.113.200").wantStatus(403).wantBody("blocked")
	o := s.owner()
	o.call("POST", "rename", renameBody("blog/likes/renamed", "blog/likes/third")).wantStatus(200).wantBody(`"count":5`)
	known("blog/likes/third", "1", 1, 5)
	o.call("POST", "merge", mergeBody("blog/likes/third", "blog/likes/hello")).wantStatus(200).wantBody(`"count":142`)
	known("blog/likes/hello", "1", 1, 40)
	o.call("PATCH", "topics/blog/likes/seeded", `{"seed":10}`).wantStatus(200).wantBody(`"count":10`)
}
