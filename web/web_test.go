package web

import (
	"bytes"
	"compress/gzip"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/web/bundle"
)

const (
	// likeLimit is what <tally-like> and its client may weigh after gzip -9, in bytes.
	likeLimit = 6144
	// scriptLimit is what all widgets together may weigh after gzip -9, in bytes.
	scriptLimit = 14336
)

func TestCommittedFilesAreWhatTheirSourcesGive(t *testing.T) {
	fresh, err := bundle.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, committed := range map[string]string{"tally.js": string(script), "fallback.js": string(fallback), "whole.js": string(whole), "article.html": article, "listing.html": listing, "gallery.html": gallery} {
		if string(fresh[name]) != committed {
			t.Errorf("dist/%s is older than its sources: run go generate ./web", name)
		}
		delete(fresh, name)
	}
	for name, made := range fresh {
		inside, ok := strings.CutPrefix(name, "admin/")
		if committed, err := fs.ReadFile(Dashboard, inside); !ok || err != nil {
			t.Errorf("dist/%s is made and not embedded", name)
		} else if !bytes.Equal(made, committed) {
			t.Errorf("dist/%s is older than its sources: run go generate ./web", name)
		}
	}
}

func TestScriptStaysSmall(t *testing.T) {
	rarely, err := bundle.Rare(".")
	if err != nil {
		t.Fatal(err)
	}
	like, err := rarely.Module(".", `import { define, followNavigation } from "./src/element.js"; import { configure } from "./src/site.js"; import { Like } from "./src/like.js";
		const here = new URL(import.meta.url); configure(new URL(".", here).href, here.searchParams.get("site")); define("tally-like", Like); followNavigation()`)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		body  []byte
		limit int
	}{{"tally-like with the client", like, likeLimit}, {"everything", whole, scriptLimit}} {
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
			if page.Path != "/" && topic == "default/likes/hello" {
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

func TestListingHasFiftyHeartsOfTheirOwnAndTheirSum(t *testing.T) {
	page := Pages()[1]
	counts := map[string]int64{}
	for _, topic := range page.Topics {
		counts[topic] = 1000
	}
	var out strings.Builder
	if err := page.Render(&out, "", counts); err != nil {
		t.Fatal(err)
	}
	// The article's number, at the foot, is in the fifty-first topic and not in the sum.
	if hearts := strings.Count(out.String(), "<tally-like "); hearts != 50 || len(page.Topics) != 51 {
		t.Errorf("%d hearts and %d topics, not 50 and 51", hearts, len(page.Topics))
	}
	if !strings.Contains(out.String(), ">50,000<") {
		t.Error("50 hearts of 1,000 do not make 50,000")
	}
}

func TestWhateverIsFilledInIsEscaped(t *testing.T) {
	for _, page := range Pages() {
		var out strings.Builder
		if err := page.Render(&out, `/"><script>`, nil); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), `"><script>/`) || strings.Contains(out.String(), "~") {
			t.Errorf("%s: not escaped, or a mark is left", page.Path)
		}
	}
}

func TestAMarkThatIsUnknownWritesNothing(t *testing.T) {
	var out strings.Builder
	if err := newPage("/", "a ~base~ b ~bases~ c").Render(&out, "/x", nil); err == nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestAssetsThatPagesNameExist(t *testing.T) {
	for _, name := range []string{"demo.css", "demo.js", "theme.js", "icon.svg", "gallery.css", "gallery.js"} {
		if _, err := fs.Stat(Assets, name); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryElementIsRegistered(t *testing.T) {
	source, err := os.ReadFile("src/elements.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"like", "claps", "reactions", "count", "visitors", "readers", "top"} {
		if !bytes.Contains(source, []byte("'tally-"+name+"'")) {
			t.Errorf("tally-%s is not registered", name)
		}
	}
}

// What follows a number must be right for one, too, and a page's words cannot follow it: they are static.
func TestPages_NoPluralAfterNumber(t *testing.T) {
	plural := regexp.MustCompile(`(?s)(?:</(?:tally-count|tally-visitors|tally-readers|strong|b)>|<tally-(?:count|visitors|readers)[^>]*/>)\s*(?:<[^>]*>\s*)*((?:[a-z]+s|have|were|are)\b[^<]{0,20})`)
	for name, text := range authored(t) {
		for _, match := range plural.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s: a number of 1 would be followed by %q", name, match[1])
		}
	}
}

// The HTML parser ends a paragraph where a form or a list begins, and moves it out of the element.
func TestPages_NoFormInParagraph(t *testing.T) {
	block := regexp.MustCompile(`(?s)<p[ >][^<]*(?:<(?:/?[a-oq-z-][^>]*|/?p[a-z][^>]*)>[^<]*)*?<(form|ol|ul)[ >]`)
	for name, text := range authored(t) {
		for _, match := range block.FindAllString(text, -1) {
			t.Errorf("%s: a form or a list in a paragraph: %q", name, match)
		}
	}
}

// authored returns the pages and documents that show how elements are written, by their paths.
func authored(t *testing.T) map[string]string {
	t.Helper()
	files := []string{"../README.md", "README.md", "bundle/gallery.go"}
	for _, pattern := range []string{"demo/*.html", "examples/*/*.html", "examples/next/*.js", "examples/*/*.svelte", "examples/*/*.vue", "examples/next/app/*.js", "examples/next/app/*/*/*.js", "examples/astro/src/*/*.astro"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Errorf("%s matches nothing (%v)", pattern, err)
		}
		files = append(files, found...)
	}
	texts := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}
