package report

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/bench/measure"
)

func TestCase_Save(t *testing.T) {
	dir := t.TempDir()
	order := []string{"first", "second", "third"}
	for _, name := range []string{"second", "first"} {
		c := &Case{Name: name, Title: "A title of " + name, Machine: "a machine", Command: "go run -C bench . " + name}
		table := c.Table("what", "µs")
		table.Row("tallycast", 1.234)
		table.Row("naive", 1234.5)
		c.Target(Target{What: "ratio", Figure: 1.2, Limit: 1.25, Unit: "×"})
		c.Setting("naive", "as it is")
		c.Setting("naive", "as it is")
		if err := c.Record(map[string]int{"n": 1}); err != nil {
			t.Fatal(err)
		}
		if name == "first" {
			bars := []Bar{{Name: "tallycast", Summary: measure.Summary{Min: 1, Median: 2, Max: 3}, Ours: true}}
			for range 6 {
				bars = append(bars, Bar{Name: "a long name", Summary: measure.Summary{Min: 2, Median: 2, Max: 2}})
			}
			c.Bars("µs", bars)
		} else {
			c.Lines("viewers", "µs", []Line{{Name: "a", X: []float64{1, 10}, Y: []float64{1, 2}}})
		}
		if err := c.Save(dir, order); err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if err := c.Print(&printed); err != nil || !strings.Contains(printed.String(), "target at most 1.25 ×: reached") {
			t.Errorf("%v, printed %s", err, &printed)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if strings.Index(text, "## first") > strings.Index(text, "## second") || strings.Count(text, "- naive: as it is") != 2 ||
		!strings.Contains(text, "| tallycast | 1.23 |") || !strings.Contains(text, "| naive | 1234 |") {
		t.Errorf("the page is\n%s", text)
	}
	for _, name := range []string{"first.svg", "second.svg", "first.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(data) == 0 || strings.HasSuffix(name, ".svg") && !bytes.Contains(data, []byte("<svg")) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestTarget_Reached(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   bool
	}{
		{Target{Figure: 1, Limit: 1}, true},
		{Target{Figure: 1.1, Limit: 1}, false},
		{Target{Figure: 1, Limit: 1, AtLeast: true}, true},
		{Target{Figure: 0.9, Limit: 1, AtLeast: true}, false},
		{Target{Figure: math.NaN(), Limit: 1}, false},
		{Target{Figure: math.NaN(), Limit: 1, AtLeast: true}, false},
	} {
		if c.target.Reached() != c.want {
			t.Errorf("%+v: reached %v", c.target, !c.want)
		}
	}
}
