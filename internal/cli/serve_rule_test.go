package cli

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A metric whose rule differs from that of its data is a conflict of configuration: the
// instance is not ready, writes nothing and logs advice.
func TestServe_RuleConflict(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(t *testing.T) string{
		"SQLite": sqlite,
		"Redis":  func(t *testing.T) string { return redistest.Start(t, redistest.Options{}).URL(0) },
	} {
		t.Run(name, func(t *testing.T) {
			url := store(t)
			r := start(t, variables(), "--store", url, "--metric", "stars=toggle", "--drain", "0s")
			if a := send(t, "POST", r.public+"/v1/default/stars/page", "visitor-1"); a.Count != 1 {
				t.Fatalf("starred: %+v", a)
			}
			send(t, "POST", r.public+"/v1/default/likes/page", "visitor-1")
			r.stop()
			r.waitExit(t)
			for _, metric := range []string{"stars=amount:5", "stars=once", "likes=once"} {
				name, _, _ := strings.Cut(metric, "=")
				args := []string{"--store", url, "--metric", metric, "--drain", "0s"}
				if name == "likes" {
					args = append(args, "--metric", "stars=toggle")
				}
				other := startUnready(t, variables(), args...)
				eventually(t, "the conflict", func() bool {
					status, body := processtest.Get(other.internal + "/readyz")
					return status == http.StatusServiceUnavailable && strings.Contains(string(body), `"status":"conflict"`) &&
						strings.Contains(string(body), "--metric "+name+"=toggle")
				})
				if a := send(t, "POST", other.public+"/v1/default/stars/page", "visitor-1"); a.Code != "store_unavailable" {
					t.Errorf("%s: starred again: %+v", metric, a)
				}
				if !strings.Contains(other.log.String(), "--metric "+name+"=toggle") {
					t.Errorf("%s: the log does not say what to do:\n%s", metric, other.log)
				}
				other.stop()
				other.waitExit(t)
			}
			again := start(t, variables(), "--store", url, "--metric", "stars=toggle", "--drain", "0s")
			if a := send(t, "POST", again.public+"/v1/default/stars/page", "visitor-1"); a.Count != 1 || a.Changed {
				t.Errorf("starred again: %+v", a)
			}
		})
	}
}

// Commands that open a store use the rules that it keeps, and refuse others.
func TestCopy_KeptRules(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	url, file := server.URL(0), sqlite(t)
	r := start(t, variables(), "--store", url, "--metric", "stars=amount:5", "--metric", "likes=once", "--drain", "0s")
	for _, topic := range []string{"stars/page", "likes/page"} {
		send(t, "POST", r.public+"/v1/default/"+topic, "visitor-1")
		send(t, "POST", r.public+"/v1/default/"+topic, "visitor-2")
	}
	r.stop()
	r.waitExit(t)
	if code, _, stderr := call(t, variables(), "copy", "--from", url, "--to", file, "--metric", "stars=toggle"); code == 0 || !strings.Contains(stderr, "--metric stars=amount:5") {
		t.Errorf("a copy under another rule: %d, %s", code, stderr)
	}
	mustRun(t, "copy", "--from", url, "--to", file)
	checkCounts(t, file, "default/likes/page,2", "default/stars/page,2")

	for _, store := range []string{url, file} {
		mustRun(t, "topics", "seed", "default/stars/page", "7", "--store", store)
		if out := mustRun(t, "topics", "show", "default/stars/page", "--store", store, "--json"); !strings.Contains(out, `"count":9`) {
			t.Errorf("%s shows %s", store, out)
		}
	}
	path := strings.TrimPrefix(file, "sqlite:")
	exported, backup := tempFile(t, "all.jsonl"), tempFile(t, "backup.db")
	mustRun(t, "export", "--store", file, "--with-secret", exported)
	mustRun(t, "backup", "--store", file, backup)
	restored := "sqlite:" + filepath.Join(filepath.Dir(path), "restored.db")
	mustRun(t, "restore", "--store", restored, backup)
	for _, store := range []string{file, restored} {
		if code, _, stderr := call(t, variables(), "export", "--store", store, "--metric", "stars=toggle", tempFile(t, "wrong.jsonl")); code == 0 || !strings.Contains(stderr, "--metric stars=amount:5") {
			t.Errorf("an export under another rule: %d, %s", code, stderr)
		}
	}
	if code, _, stderr := call(t, variables(), "import", "--store", file, "--metric", "stars=toggle", exported); code == 0 || !strings.Contains(stderr, "--metric stars=amount:5") {
		t.Errorf("an import under another rule: %d, %s", code, stderr)
	}
}
