package e2e_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // opens the file as another tool

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// crashDuringLikes sends likes of 500 visitors, calls crash after 150 acknowledgements, and
// returns which likes were acknowledged.
func crashDuringLikes(t *testing.T, s *service, topic string, crash func()) (acknowledged []bool) {
	t.Helper()
	acknowledged = make([]bool, 500)
	done := make(chan struct{})
	go func() { // ends with its likes, which fail after the crash; the end of this function waits for it
		defer close(done)
		each(len(acknowledged), 8, func(i int) {
			a, err := s.try("POST", "/v1/"+topic, "", "Tally-Visitor: "+visitor(i))
			acknowledged[i] = err == nil && a.status == 200
		})
	}()
	processtest.Eventually(t, "the middle of the likes", func() bool { return s.Metric("tallycast_writes_acknowledged_total") >= 150 })
	crash()
	<-done
	return acknowledged
}

// A kill of the service or of Redis loses no acknowledged like.
func TestKill_AcknowledgedLikesKept(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		store := "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
		s := serve(t, "--store", store)
		acknowledged := crashDuringLikes(t, s, "default/likes/x", s.Kill)
		checkStored(t, serve(t, "--store", store), "default/likes/x", acknowledged)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, redistest.Options{Hosted: true, Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
		s := serve(t, "--store", redis.URL(0))
		acknowledged := crashDuringLikes(t, s, "default/likes/x", func() {
			redis.Kill()
			s.Kill()
		})
		redis.Restart()
		checkStored(t, serve(t, "--store", redis.URL(0)), "default/likes/x", acknowledged)
	})
	t.Run("Redis alone", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, redistest.Options{Hosted: true, Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
		s := serve(t, "--store", redis.URL(0))
		v := s.watch("?topic=default/likes/x")
		acknowledged := crashDuringLikes(t, s, "default/likes/x", redis.Kill)
		redis.Restart()
		processtest.Eventually(t, "the store is back", func() bool { return s.status("/v1/default/likes/x") == 200 && s.Metric("tallycast_store_up") == 1 })
		checkStored(t, s, "default/likes/x", acknowledged)
		s.like("default/likes/x", "visitor-last", "1")
		v.awaitCount("default/likes/x", s.read("default/likes/x").Count)
		v.checkVersions()
	})
}

// Other SQLite tools can read the file. It does not contain ids of visitors.
func TestSQLite_ReadableByOtherTools(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tally.db")
	s := serve(t, "--store", "sqlite:"+path)
	s.like("default/likes/posts/hello", "visitor-1", "1")
	s.like("default/likes/posts/hello", "visitor-2", "1")
	s.like("default/claps/posts/hello", "visitor-1", "7")
	want := s.read("default/likes/posts/hello")
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro") // while the service runs
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n, version, contributions int64
	if err := db.QueryRow(`SELECT count, version FROM topics WHERE site = 'default' AND metric = 'likes' AND key = 'posts/hello'`).Scan(&n, &version); err != nil || n != 2 || version != want.Version {
		t.Errorf("count %d, version %d, %v; want %+v", n, version, err, want)
	}
	if err := db.QueryRow(`SELECT sum(amount) FROM contributions JOIN topics ON topic = id WHERE key = 'posts/hello'`).Scan(&contributions); err != nil || contributions != 9 {
		t.Errorf("contributions %d, %v", contributions, err)
	}
	// The file contains keyed hashes of visitors.
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, _ := os.ReadFile(path + "-wal")
	for _, text := range [][]byte{content, wal} {
		if bytes.Contains(text, []byte("visitor-1")) {
			t.Error("the visitor's id is stored")
		}
	}
}

// A second process on the same file exits with an error.
func TestSQLite_FileInUse(t *testing.T) {
	t.Parallel()
	store := "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
	first := serve(t, "--store", store)
	code, _, errors := run(t, nil, "--store", store, "--listen", "127.0.0.1:0", "--internal-listen=")
	if code != 1 || errors == "" {
		t.Errorf("exit %d: %s", code, errors)
	}
	first.like("default/likes/x", "visitor-1", "1")
}
