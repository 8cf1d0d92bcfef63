package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/tally"
)

// No input panics, and every count is at least 0 and has a topic.
func FuzzImporters(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 8 {
		f.Fatalf("%d samples: %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(goatArchive(f, "x/", nil))
	plain := func(read func(importer.File, importer.Layout) (importer.Result, error)) func(importer.File, importer.Mapping) (importer.Result, error) {
		return func(r importer.File, _ importer.Mapping) (importer.Result, error) { return read(r, importer.Layout{}) }
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(importer.File, importer.Mapping) (importer.Result, error){
			importer.ReadGoatCounter, importer.ReadUmami, importer.ReadApplause, importer.ReadBusuanzi,
			plain(importer.ReadCountsCSV), plain(importer.ReadCountsJSON),
		} {
			how := mapping()
			how.KeepQuery = len(text)%2 == 0
			found, _ := read(file(text), how)
			for _, c := range found.Counts {
				if c.Count < 0 || c.Topic == (tally.Topic{}) {
					t.Errorf("a count is %+v", c)
				}
			}
		}
	})
}
