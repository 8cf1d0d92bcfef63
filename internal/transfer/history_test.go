package transfer

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// An import has the history of the export.
func TestImport_History(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 10, 0, 0, time.UTC)
	open := func() *sqlitestore.Store {
		s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tallycast.db"), catalog(),
			sqlitestore.Options{Secret: secret, History: tally.MaxHistory, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	from, to := open(), open()
	const name = "blog/likes/hello"
	contribute(t, from, name, 0, 2500, 1) // more than a portion
	now = now.Add(24 * time.Hour)
	contribute(t, from, name, 3000, 7, 1)
	now = now.Add(48 * time.Hour)
	edit(t, from, name, tally.EditAdjustment, -5)
	points := func(s *sqlitestore.Store) (counts []int64) {
		h := s.History(t.Context(), tally.Day, []tally.Topic{topic(t, name)})[0]
		for _, p := range h.Points(false, 10) {
			counts = append(counts, p.Count)
		}
		return counts
	}
	want := []int64{0, 2500, 2507, 2507, 2502}
	if got := points(from); !slices.Equal(got, want) {
		t.Fatalf("exported %v, want %v", got, want)
	}
	var file bytes.Buffer
	if err := Export(t.Context(), from, catalog(), NewHeader(secret, false, now), tally.Scope{}, &file); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		imported(t, to, file.Bytes(), ImportOptions{})
		if got := points(to); !slices.Equal(got, want) {
			t.Errorf("imported %v, want %v", got, want)
		}
	}
}
