package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// likeLoad sends likes of new visitors until stop is called.
type likeLoad struct {
	s       *service
	mu      sync.Mutex
	acked   []string // visitors, in the order of their acknowledgements
	stopped atomic.Bool
	working sync.WaitGroup
}

// loadTopics is how many topics the load likes.
const loadTopics = 7

func loadTopic(i int) string { return fmt.Sprintf("blog/likes/page-%d", i%loadTopics) }

func startLoad(s *service) *likeLoad {
	l := &likeLoad{s: s}
	var next atomic.Int64
	for range 4 {
		l.working.Go(func() { // ends with stop, which waits for it
			for !l.stopped.Load() {
				i := int(next.Add(1))
				a, err := l.s.try("POST", "/v1/"+loadTopic(i), fmt.Sprintf(`{"visitor":"%s"}`, visitor(i)))
				if err == nil && a.status == 200 {
					l.mu.Lock()
					l.acked = append(l.acked, fmt.Sprint(i))
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

func (l *likeLoad) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// acknowledged returns the acknowledged visitors so far.
func (l *likeLoad) acknowledged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked[:len(l.acked):len(l.acked)]
}

func (l *likeLoad) stop() {
	l.stopped.Store(true)
	l.working.Wait()
}

// checkRestored checks that s counts all acknowledged visitors and knows each of them, and
// counts at most most.
func checkRestored(t *testing.T, s *service, acked []string, most int) {
	t.Helper()
	total := int64(0)
	for i := range loadTopics {
		total += s.read(loadTopic(i)).Count
	}
	if total < int64(len(acked)) || total > int64(most) {
		t.Errorf("%d likes are stored; %d were acknowledged before the backup, %d in all", total, len(acked), most)
	}
	each(len(acked), 8, func(at int) {
		var i int
		if _, err := fmt.Sscan(acked[at], &i); err != nil {
			t.Error(err)
			return
		}
		a, err := s.try("POST", "/v1/"+loadTopic(i), fmt.Sprintf(`{"visitor":"%s"}`, visitor(i)))
		if err != nil || a.status != 200 || *a.count().Changed {
			t.Errorf("visitor %d counts again: %d %s, %v", i, a.status, a.body, err)
		}
	})
}

// A backup or an export under load restores every like that was acknowledged before it
// began.
func TestRestore_AcknowledgedLikes(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			backup, export := filepath.Join(dir, "backup.db"), filepath.Join(dir, "numbers.jsonl")
			s := serve(t, "--store", store, "--site", "blog")
			load := startLoad(s)
			processtest.Eventually(t, "likes", func() bool { return load.count() > 150 })
			before := map[string][]string{}
			if name == "SQLite" {
				before[backup] = load.acknowledged()
				mustRun(t, "backup", "--store", store, backup)
			}
			before[export] = load.acknowledged()
			mustRun(t, "export", "--store", store, "--with-secret", export)
			more := load.count()
			processtest.Eventually(t, "likes afterwards", func() bool { return load.count() > more+20 })
			load.stop()
			all := load.count()
			s.Kill()

			for path, acked := range before {
				for restored, into := range map[string]string{
					"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "again.db"),
					"Redis":  redistest.Start(t, redistest.Options{Hosted: true}).URL(0),
				} {
					if path == backup {
						if restored == "Redis" {
							continue // a backup is a file of SQLite
						}
						// The damaged file and its log are still there.
						into = store
						damageStore(t, store)
						mustRun(t, "restore", "--store", store, backup)
					} else {
						mustRun(t, "import", "--store", into, export)
					}
					checkRestored(t, serve(t, "--store", into, "--site", "blog"), acked, all)
				}
			}
		})
	}
}

// damageStore overwrites a database and leaves its log.
func damageStore(t *testing.T, store string) {
	t.Helper()
	path := store[len("sqlite:"):]
	info, err := os.Stat(path + "-wal")
	if err != nil || info.Size() == 0 {
		t.Fatalf("the kill left no log: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("gone "), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustRun runs a command, which must succeed.
func mustRun(t *testing.T, args ...string) {
	t.Helper()
	if code, out, errors := run(t, nil, args...); code != 0 {
		t.Fatalf("%v: exit %d, %s%s", args, code, out, errors)
	}
}
