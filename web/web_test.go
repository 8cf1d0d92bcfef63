package web

import (
	"bytes"
	"compress/gzip"
	"html"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/web/bundle"
)

const (
	// likeLimit is what <tally-like> and its client may weigh after gzip -9, in bytes.
	likeLimit = 5120
	// scriptLimit is what all widgets together may weigh after gzip -9, in bytes.
	scriptLimit = 12288
)

func TestCommittedScriptIsWhatItsSourcesGive(t *testing.T) {
	fresh, err := bundle.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	body, hash := Script()
	if !bytes.Equal(fresh, body) {
		t.Fatal("dist/tally.js is older than src: run go generate ./web")
	}
	if len(hash) != 2*hashBytes {
		t.Errorf("hash %q has %d digits, not %d", hash, len(hash), 2*hashBytes)
	}
}

func TestScriptStaysSmall(t *testing.T) {
	like, err := bundle.Module(".", `import { define } from "./src/element.js"; import { Like } from "./src/like.js"; define("tally-like", Like)`)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := Script()
	for _, test := range []struct {
		name  string
		body  []byte
		limit int
	}{{"tally-like with the client", like, likeLimit}, {"everything", all, scriptLimit}} {
		size := compressed(t, test.body)
		t.Logf("%s: %d bytes after gzip -9", test.name, size)
		if size > test.limit {
			t.Errorf("%s: %d bytes after gzip -9, at most %d allowed", test.name, size, test.limit)
		}
	}
}

func compressed(t *testing.T, body []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

func TestPagesWorkWithoutScriptBelowABasePath(t *testing.T) {
	for _, page := range Pages() {
		var out strings.Builder
		counts := map[string]int64{}
		for i, topic := range page.Topics {
			counts[topic] = int64(1_234_567 + i)
		}
		if err := page.Render(&out, "/tally", counts); err != nil {
			t.Fatal(err)
		}
		// The parser of a browser undoes what the template escapes, such as + in attributes.
		text := html.UnescapeString(out.String())
		for _, want := range []string{
			`<input type="hidden" name="return" value="/tally` + page.Path + `">`,
			`src="/tally/tally.js"`, `href="/tally/demo/demo.css"`, `>1,234,567</`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", page.Path, want)
			}
		}
		for _, topic := range page.Topics {
			// The foot of each page shows the article's number; its heart is on its own page.
			if page.Path != "/" && topic == articleTopic {
				continue
			}
			if want := `action="/tally/v1/` + topic + `"`; !strings.Contains(text, want) {
				t.Errorf("%s lacks a form with %s", page.Path, want)
			}
		}
		for _, forbidden := range []string{" style=", "<style", " onclick", "http://", `src="//`} {
			if strings.Contains(text, forbidden) {
				t.Errorf("%s contains %s, which its policy forbids", page.Path, forbidden)
			}
		}
	}
}

func TestListingHasFiftyHeartsOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range pleasures {
		seen[p.Topic()] = true
	}
	if len(seen) != 50 || len(pleasures) != 50 {
		t.Errorf("%d pleasures with %d topics, not 50 with 50", len(pleasures), len(seen))
	}
}

func TestAssetsThatPagesNameExist(t *testing.T) {
	for _, name := range []string{"demo.css", "demo.js", "theme.js", "icon.svg"} {
		if _, err := fs.Stat(Assets, name); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryElementIsRegistered(t *testing.T) {
	source, err := os.ReadFile("src/index.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tally-like", "tally-count"} {
		if !bytes.Contains(source, []byte("'"+name+"'")) {
			t.Errorf("%s is not registered", name)
		}
	}
}
