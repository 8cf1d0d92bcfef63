package importer_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// open opens an empty SQLite store.
func open(t *testing.T) *sqlitestore.Store {
	t.Helper()
	catalog := tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics())
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tallycast.db"), catalog, sqlitestore.Options{Secret: []byte("a secret of the tests' own, 32 b")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func topic(t *testing.T, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// Exported counts can be imported. Plan predicts what Apply does; a second Apply changes
// nothing.
func TestApply_ExportedCounts(t *testing.T) {
	from := open(t)
	edits := []tally.Edit{{Topic: topic(t, "blog/likes/hello"), Kind: tally.EditSeed, Value: 40}, {Topic: topic(t, "default/claps/with \"quotes\", and commas"), Kind: tally.EditAdjustment, Value: 7},
		{Topic: topic(t, "blog/likes/grüße/日本"), Kind: tally.EditSeed, Value: 0}}
	from.Edit(t.Context(), edits)
	for _, e := range edits {
		if e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		totals, err := transfer.ExportCounts(context.Background(), from, tally.Scope{}, asJSON, &out, nil)
		if err != nil || totals.Topics != 3 {
			t.Fatalf("%+v, %v", totals, err)
		}
		read := importer.ReadCountsCSV
		if asJSON {
			read = importer.ReadCountsJSON
		}
		found, err := read(file(out.String()), importer.Layout{})
		if err != nil || found.Refused > 0 {
			t.Fatalf("%+v, %v", found.Refusals, err)
		}
		to := importer.NumbersOf(open(t))
		for _, as := range []tally.EditKind{tally.EditSeed, tally.EditCount, tally.EditAdjustment} {
			plan, err := importer.Plan(context.Background(), to, found.Counts, as)
			if err != nil {
				t.Fatal(err)
			}
			// Each says before what it does then; twice it changes nothing.
			for _, again := range []bool{false, true} {
				for i, done := range importer.Apply(context.Background(), to, found.Counts, as, nil) {
					if done.Err != nil {
						t.Fatal(done.Err)
					}
					if !again && (done.After.Count != plan[i].After.Count || done.Changed != plan[i].Changed) {
						t.Errorf("as %d, %s: %+v was planned and %+v done", as, done.Topic, plan[i].After, done.After)
					}
					if as != tally.EditAdjustment && done.After.Count != done.Count.Count || again && done.Changed {
						t.Errorf("as %d, again %t: %+v", as, again, done)
					}
				}
			}
		}
	}
}
