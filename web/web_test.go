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
	// likeLimit is the size limit of <tally-like> with its client after gzip -9, in bytes.
	likeLimit = 6144
	// scriptLimit is the size limit of all elements after gzip -9, in bytes, without the
	// scripts that they load on first use.
	scriptLimit = 14336
)

// The files of dist are those that their sources give.
func TestDist_Current(t *testing.T) {
	fresh, err := bundle.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range fresh {
		if !bytes.Equal(distFile(t, name), content) {
			t.Errorf("dist/%s is older than its sources: run make generate", name)
		}
	}
	dist := os.DirFS("dist")
	err = fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && fresh[name] == nil {
			t.Errorf("dist/%s has no source", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// distFile returns a file of dist.
func distFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("dist", name))
	if err != nil {
		t.Error(err)
	}
	return content
}

// property matches the access to a property, but not a spread.
var property = regexp.MustCompile(`[^.]\.([A-Za-z_$][\w$]*)`)

// Properties keep the names of their sources: objects pass between the scripts of
// a page, and the minifier could choose other names in each.
func TestDist_PropertyNames(t *testing.T) {
	written := map[string]bool{}
	for _, name := range files(t, "src/*.js") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range property.FindAllSubmatch(text, -1) {
			written[string(match[1])] = true
		}
	}
	for _, name := range files(t, "dist/*.js") {
		matches := property.FindAllSubmatch(distFile(t, filepath.Base(name)), -1)
		if len(matches) == 0 {
			t.Errorf("%s accesses no property", name)
		}
		for _, match := range matches {
			if !written[string(match[1])] {
				t.Errorf("%s has the property %s, which no source has", name, match[1])
			}
		}
	}
}

// files returns the paths that match a pattern, at least one.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, paths, err)
	}
	return paths
}

func TestScript_Size(t *testing.T) {
	lazy := bundle.Parts{} // the script contains their names
	for _, name := range []string{"fallback", "choices", "trendview", "signin"} {
		lazy[name] = distFile(t, name+".js")
	}
	like, err := lazy.Module(".", `import { connect } from "./src/client.js"; import { define, followNavigation } from "./src/element.js"; import { configure } from "./src/site.js"; import { Like } from "./src/like.js";
		const url = new URL(import.meta.url); configure(connect(new URL(".", url).href), url.searchParams.get("site")); define("tally-like", Like); followNavigation()`)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		body  []byte
		limit int
	}{{"tally-like with the client", like, likeLimit}, {"all elements", distFile(t, "tally.js"), scriptLimit}} {
		size := compressed(t, test.body)
		t.Logf("%s: %d bytes after gzip -9", test.name, size)
		if size > test.limit {
			t.Errorf("%s: %d bytes after gzip -9, limit %d", test.name, size, test.limit)
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

// Below a base path the pages work without a script.
func TestPages_BasePath(t *testing.T) {
	for _, page := range Pages() {
		var out strings.Builder
		counts := map[string]int64{}
		for i, topic := range page.Topics {
			counts[topic] = int64(1_234_567 + i)
		}
		if err := page.Render(&out, "/tally", counts); err != nil {
			t.Fatal(err)
		}
		// Undo the template's escaping, for example of + in attributes.
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
			// All pages show the article's number at the foot; only the article has its heart.
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

func TestPages_ListingSum(t *testing.T) {
	page := Pages()[1]
	counts := map[string]int64{}
	for _, topic := range page.Topics {
		counts[topic] = 1000
	}
	var out strings.Builder
	if err := page.Render(&out, "", counts); err != nil {
		t.Fatal(err)
	}
	// The 51st topic is the article's, at the foot; the sum leaves it out.
	if hearts := strings.Count(out.String(), "<tally-like "); hearts != 50 || len(page.Topics) != 51 {
		t.Errorf("%d hearts and %d topics, not 50 and 51", hearts, len(page.Topics))
	}
	if !strings.Contains(out.String(), ">50,000<") {
		t.Error("50 hearts of 1,000 do not make 50,000")
	}
}

func TestPage_Escaping(t *testing.T) {
	for _, page := range Pages() {
		var out strings.Builder
		if err := page.Render(&out, `/"><script>`, nil); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), `"><script>/`) || strings.Contains(out.String(), "~") {
			t.Errorf("%s: not escaped, or with a placeholder left", page.Path)
		}
	}
}

func TestPage_UnknownPlaceholder(t *testing.T) {
	var out strings.Builder
	if err := newPage("/", "a ~base~ b ~bases~ c").Render(&out, "/x", nil); err == nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// Each asset that the pages name exists.
func TestAssets_Files(t *testing.T) {
	asset := regexp.MustCompile(`"~base~/demo/([^"]+)"`)
	for _, text := range []string{article, listing, gallery} {
		names := asset.FindAllStringSubmatch(text, -1)
		if len(names) == 0 {
			t.Error("a page names no asset")
		}
		for _, name := range names {
			if _, err := fs.Stat(Assets, name[1]); err != nil {
				t.Error(err)
			}
		}
	}
}

// The text after a number is static, so it must be right after 1, too.
func TestPages_NoPluralAfterNumber(t *testing.T) {
	plural := regexp.MustCompile(`(?s)(?:</(?:tally-count|tally-visitors|tally-readers|strong|b)>|<tally-(?:count|visitors|readers)[^>]*/>)\s*(?:<[^>]*>\s*)*((?:[a-z]+s|have|were|are)\b[^<]{0,20})`)
	for name, text := range authored(t) {
		for _, match := range plural.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s: a number of 1 would be followed by %q", name, match[1])
		}
	}
}

// The HTML parser ends a paragraph before a form or a list, and moves it out of the element.
func TestPages_NoFormInParagraph(t *testing.T) {
	block := regexp.MustCompile(`(?s)<p[ >][^<]*(?:<(?:/?[a-oq-z-][^>]*|/?p[a-z][^>]*)>[^<]*)*?<(form|ol|ul)[ >]`)
	for name, text := range authored(t) {
		for _, match := range block.FindAllString(text, -1) {
			t.Errorf("%s: a form or a list in a paragraph: %q", name, match)
		}
	}
}

// authored returns the pages and documents that show how to use elements, by their paths.
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
