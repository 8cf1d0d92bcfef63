package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// likesUnderLoad likes pages with ever new visitors until stop is called, and knows what
// was acknowledged when.
type likesUnderLoad struct {
	s       *service
	mu      sync.Mutex
	acked   []string // visitors, in the order of their answers; each of page number i % pages
	stopped atomic.Bool
	working sync.WaitGroup
}

// pages is how many topics the load goes to.
const drillPages = 7

func drillTopic(i int) string { return fmt.Sprintf("blog/likes/page-%d", i%drillPages) }

func loadOf(s *service) *likesUnderLoad {
	l := &likesUnderLoad{s: s}
	var next atomic.Int64
	for range 4 {
		l.working.Go(func() { // ends with stop, which waits for it
			for !l.stopped.Load() {
				i := int(next.Add(1))
				a, err := l.s.try("POST", "/v1/"+drillTopic(i), fmt.Sprintf(`{"visitor":"%s"}`, visitor(i)))
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

func (l *likesUnderLoad) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// soFar returns who was acknowledged by now.
func (l *likesUnderLoad) soFar() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked[:len(l.acked):len(l.acked)]
}

func (l *likesUnderLoad) stop() {
	l.stopped.Store(true)
	l.working.Wait()
}

// allThere fails t unless s counts everybody of acked, and knows each again.
func allThere(t *testing.T, s *service, acked []string, most int) {
	t.Helper()
	total := int64(0)
	for i := range drillPages {
		total += s.read(drillTopic(i)).Count
	}
	if total < int64(len(acked)) || total > int64(most) {
		t.Errorf("%d likes are there; %d were acknowledged before, %d in all", total, len(acked), most)
	}
	each(len(acked), 8, func(at int) {
		var i int
		if _, err := fmt.Sscan(acked[at], &i); err != nil {
			t.Error(err)
			return
		}
		a, err := s.try("POST", "/v1/"+drillTopic(i), fmt.Sprintf(`{"visitor":"%s"}`, visitor(i)))
		if err != nil || a.status != 200 || *a.count().Changed {
			t.Errorf("visitor %d is not known again: %d %s, %v", i, a.status, a.body, err)
		}
	})
}

// The drill: likes come in, a backup and an export are taken meanwhile, everything is
// destroyed, and all that was acknowledged before they began is there again.
func TestWhatWasAcknowledgedBeforeABackupIsThereAfterTheRestore(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			backup, export := filepath.Join(dir, "backup.db"), filepath.Join(dir, "numbers.jsonl")
			s := serve(t, "--store", store, "--site", "blog")
			load := loadOf(s)
			eventually(t, "likes", func() bool { return load.count() > 150 })
			before := map[string][]string{}
			if name == "SQLite" {
				before[backup] = load.soFar()
				ran(t, "backup", "--store", store, backup)
			}
			before[export] = load.soFar()
			ran(t, "export", "--store", store, "--with-secret", export)
			more := load.count()
			eventually(t, "likes afterwards", func() bool { return load.count() > more+20 })
			load.stop()
			all := load.count()
			s.Kill()

			for path, acked := range before {
				for restored, into := range map[string]string{
					"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "again.db"),
					"Redis":  redistest.Start(t, redistest.Options{}).URL(0),
				} {
					if path == backup {
						if restored == "Redis" {
							continue // a backup is a file of SQLite
						}
						// In the place of what kill -9 left, its log included.
						into = store
						spoil(t, store)
						ran(t, "restore", "--store", store, backup)
					} else {
						ran(t, "import", "--store", into, export)
					}
					allThere(t, serve(t, "--store", into, "--site", "blog"), acked, all)
				}
			}
		})
	}
}

// spoil destroys a database, and leaves the files beside it.
func spoil(t *testing.T, store string) {
	t.Helper()
	path := store[len("sqlite:"):]
	info, err := os.Stat(path + "-wal")
	if err != nil || info.Size() == 0 {
		t.Fatalf("kill -9 left no log: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("gone "), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ran runs a command that succeeds.
func ran(t *testing.T, args ...string) {
	t.Helper()
	if code, out, errors := run(t, nil, args...); code != 0 {
		t.Fatalf("%v: exit %d, %s%s", args, code, out, errors)
	}
}
