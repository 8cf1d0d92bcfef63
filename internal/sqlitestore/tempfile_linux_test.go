package sqlitestore

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// removedFiles returns the names of this process's open files that are removed already.
func removedFiles(t *testing.T) (names []string) {
	t.Helper()
	const open = "/proc/self/fd"
	files, err := os.ReadDir(open)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _ := os.Readlink(filepath.Join(open, file.Name())) // the directory is closed already
		if strings.HasSuffix(name, " (deleted)") {
			names = append(names, name)
		}
	}
	return names
}

// Temporary files are beside the database, since no other directory may be writable.
func TestJournal_TemporaryFiles(t *testing.T) {
	store := openJournal(t)
	topic, err := tally.ParseTopic("default/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	assert(t, store, topic, 1, 1)
	// Erased entries, which take more than the page cache.
	err = store.update(t.Context(), func(w *writer) ([]tally.Change, error) {
		return nil, w.exec(`WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
			INSERT INTO journal SELECT ?, n, 1, zeroblob(4000) FROM numbers`, store.journalBegin()+1)
	})
	if err != nil {
		t.Fatal(err)
	}
	before, created := removedFiles(t), 0
	err = store.Journal(t.Context(), tally.Scope{}, 0, math.MaxInt64, func([]tally.JournalEntry) error {
		for _, name := range removedFiles(t) {
			if slices.Contains(before, name) {
				continue
			}
			if created++; filepath.Dir(name) != filepath.Dir(store.path) {
				t.Errorf("a temporary file is %s, the database %s", name, store.path)
			}
		}
		return nil
	})
	if err != nil || created == 0 {
		t.Errorf("%d temporary files were created, error %v", created, err)
	}
}
