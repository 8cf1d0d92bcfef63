package seed_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/unicode"

	"github.com/tallycast/tallycast/internal/seed"
)

// utf16 returns text in UTF-16.
func utf16(t *testing.T, text string, order unicode.Endianness) string {
	t.Helper()
	out, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An ambiguous number is refused in each notation, with both readings.
func TestNumbers_Ambiguous(t *testing.T) {
	for number, readings := range map[string]string{
		"2.000": "2000 (groups of digits) or as 2 (decimal fraction)", "1,234": "1234 (groups of digits) or as 1.234", "0042": "42 (decimal) or as 34 (octal)",
		"0x10": "16 (hexadecimal)", "1:30": "90 (to base 60", "0o17": "15 (octal)", "0x1p10": "1024 (hexadecimal", "1.5e3": "1500",
		"1.000.5": "not a number", ".inf": "not a number", "Infinity": "not a number", "\uff11\uff12": "not a number",
	} {
		files := map[string]string{
			"plain.md":  "---\nlikes: " + number + "\n---\n",
			"quoted.md": "---\nlikes: \"" + number + "\"\n---\n",
			"flow.md":   "---\n{likes: '" + number + "'}\n---\n",
			"toml.md":   "+++\nlikes = \"" + number + "\"\n+++\n",
			"json.md":   "{\"likes\": \"" + number + "\"}\n",
			"org.org":   "#+likes: " + number + "\n",
			"table.csv": "slug;likes\nx;" + number + "\n",
			"doc.json":  "{\"x\": \"" + number + "\"}",
			"list.json": "[{\"slug\": \"x\", \"likes\": \"" + number + "\"}]",
		}
		if number == "2.000" {
			files["number.json"] = "{\"x\": 2.000}"
			files["number.md"] = "+++\nlikes = 2.000\n+++\n"
		}
		dir := createFiles(t, files)
		for name := range files {
			r := read(t, likes, filepath.Join(dir, name))
			if len(r.Seeds) > 0 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, readings) {
				t.Errorf("%s in %s: %v, %v", number, name, r.Seeds, r.Problems)
			}
		}
	}
}

// An unambiguous number is accepted in each notation.
func TestNumbers_Unambiguous(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"a.md": "---\nlikes: 1_000\n---\n", "b.md": "---\nlikes: 2.0\n---\n", "c.md": "---\nlikes: 1 234 567\n---\n", "d.md": "---\nlikes: 007\n---\n", "e.md": "---\nlikes: !!str 12\n---\n",
		"f.md": "+++\nlikes = 1_000\n+++\n", "g.md": "+++\nlikes = 1e3\n+++\n", "h.md": "+++\nlikes = +12.0\n+++\n",
		"i.md": "{\"likes\": 1e3}", "j.md": "---\nlikes: |\n  12\n---\n", "k.md": "---\nlikes: 1’234\n---\n",
	})
	r := read(t, likes, dir)
	expect(t, r, "blog/likes/a=1000", "blog/likes/b=2", "blog/likes/c=1234567", "blog/likes/d=7", "blog/likes/e=12",
		"blog/likes/f=1000", "blog/likes/g=1000", "blog/likes/h=12", "blog/likes/i=1000", "blog/likes/j=12", "blog/likes/k=1234")
	if len(r.Problems) > 0 {
		t.Error(r.Problems)
	}
}

// Frontmatter is read in the notations of site generators.
func TestFrontmatter_Forms(t *testing.T) {
	yaml := func(lines string) string { return "---\n" + lines + "---\n" }
	for name, c := range map[string]struct{ file, text string }{
		"JSON":                            {"x.md", "{\n  \"title\": \"}\",\n  \"likes\": 12\n}\n\n# Text\n"},
		"JSON behind a blank line":        {"x.md", "\n{ \"Likes\": 12 }\ntext { \"likes\": 99 }"},
		"JSON of a table":                 {"x.md", "{\"params\": {\"a\": [1, {\"likes\": 2}]}, \"likes\": \"12\"}"},
		"a blank line before YAML":        {"x.md", "\n  \r\n---\nlikes: 12\n---\n"},
		"a blank line before TOML":        {"x.md", "\n+++\nlikes = 12\n+++\n"},
		"a mark and a blank line":         {"x.md", "\ufeff\n---\nlikes: 12\n---\n"},
		"a merge":                         {"x.md", yaml("base: &base\n  likes: 12\n<<: *base\ntitle: x\n")},
		"a merge of several":              {"x.md", yaml("a: &a {x: 1}\nb: &b {likes: 12}\n<<: [*a, *b]\n")},
		"a merge within a merge":          {"x.md", yaml("a: &a {likes: 12}\nb: &b\n  <<: *a\n<<: *b\n")},
		"an own key before a merged one":  {"x.md", yaml("base: &base {likes: 99}\n<<: *base\nlikes: 12\n")},
		"an own key in another case":      {"x.md", yaml("base: &base {likes: 99}\n<<: *base\nLikes: 12\n")},
		"a merged key in another case":    {"x.md", yaml("a: &a {Likes: 12}\nb: &b {likes: 99}\n<<: [*a, *b]\n")},
		"the first of merged keys":        {"x.md", yaml("a: &a {likes: 12}\nb: &b {likes: 99}\n<<: [*a, *b]\n")},
		"a merge of a flow mapping":       {"x.md", yaml("<<: {likes: 12}\n")},
		"the name as it is written":       {"x.md", yaml("Likes: 99\nlikes: 12\n")},
		"the name in other case":          {"x.md", yaml("LIKES: 12\n")},
		"an alias":                        {"x.md", yaml("n: &n 12\nlikes: *n\n")},
		"an alias of an anchor set again": {"x.md", yaml("n: &n 99\nm: &n 12\nlikes: *n\n")},
		"an alias of a tagged value":      {"x.md", yaml("n: &n !!int \"12\"\nlikes: *n\n")},
		"an anchor":                       {"x.md", yaml("likes: &n 12\n")},
		"a named language JSON":           {"x.md", "---json\n{\"likes\": 12}\n---\n"},
		"a named language TOML":           {"x.md", "--- toml\nlikes = 12\n---\n"},
		"a named language YAML":           {"x.md", "---yaml\nlikes: 12\n---\n"},
		"an end of three points":          {"x.md", "---\nlikes: 12\n...\nText\n"},
		"UTF-16":                          {"x.md", utf16(t, yaml("title: größe\nlikes: 12\n"), unicode.LittleEndian)},
		"UTF-16 big endian":               {"x.md", utf16(t, "+++\r\nlikes = 12\r\n+++\r\n", unicode.BigEndian)},
		"carriage returns":                {"x.md", "---\rlikes: 12\r---\rText\r"},
		"Org":                             {"x.org", "#+TITLE: Hello\n\n# a comment\n#+LIKES: 12\n* Text\n#+likes: 99\n"},
		"Org with YAML":                   {"x.org", yaml("likes: 12\n")},
		"AsciiDoc":                        {"x.adoc", yaml("likes: 12\n")},
		"Quarto":                          {"x.qmd", yaml("likes: 12\n")},
		"R Markdown":                      {"x.Rmd", yaml("likes: 12\n")},
		"reStructuredText":                {"x.rst", yaml("likes: 12\n")},
		"Pandoc":                          {"x.pandoc", yaml("likes: 12\n")},
		"Markdoc":                         {"x.mdoc", yaml("likes: 12\n")},
		"a template":                      {"x.njk", yaml("likes: 12\n") + "{% block %}"},
		"TOML tables":                     {"x.md", "+++\n[[x]]\nlikes = 98\n[x.y]\nlikes = 99\n[params]\na = {likes = 97}\n[params.b]\nc = 1\n+++\n"},
	} {
		rules := likes
		want := "blog/likes/x=12"
		if name == "TOML tables" {
			rules = seed.Rules{Site: "blog", Fields: []seed.Field{{Metric: "likes", Name: "params.a.likes"}}}
			want = "blog/likes/x=97"
		}
		r := read(t, rules, createFiles(t, map[string]string{c.file: c.text}))
		if got := formatSeeds(r.Seeds); !slices.Equal(got, []string{want}) || len(r.Problems) > 0 {
			t.Errorf("%s: %v, %v", name, got, r.Problems)
		}
	}
}

// A number in frontmatter of another notation is reported with its line.
func TestFrontmatter_UnsupportedForms(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"JavaScript":           {"x.md", "---js\n{\n  likes: 12\n}\n---\n", "x.md:3: likes is not in frontmatter"},
		"Hexo's JSON":          {"x.md", "\"title\": \"x\",\n\"likes\": 12\n;;;\n", "x.md:2: likes"},
		"Hexo without a fence": {"x.md", "title: x\nlikes: 12\n---\n", "x.md:2: likes"},
		"Pelican":              {"x.md", "Title: x\nLikes: 12\n\nText", "x.md:2: likes"},
		"docinfo":              {"x.rst", "\n:title: x\n:likes: 12\n", "x.rst:3: likes"},
		"AsciiDoc attributes":  {"x.adoc", "= Title\n:page-likes: 12\n", "x.adoc:2: likes"},
		"a comment before":     {"x.html", "<!-- x -->\n---\nlikes: 12\n---\n", "x.html:3: likes"},
		"a comment":            {"x.html", "<!-- likes: 12 -->\n", "x.html:1: likes"},
		"UTF-32":               {"x.md", "\xff\xfe\x00\x00-\x00\x00\x00", "x.md: is encoded as UTF-32"},
		"JSON cut off":         {"x.md", "{\"likes\": 12", "x.md: its frontmatter, from line 1 on, is not JSON"},
		"JSON twice":           {"x.md", "{\n\"likes\": 12,\n\"likes\": 13}", "x.md:3: has the name likes twice"},
		"an unknown alias":     {"x.md", "---\nlikes: *n\n---\n", "x.md:2: likes: the alias has no anchor"},
		"circular aliases":     {"x.md", "---\nlikes: &n *n\n---\n", "x.md:2"},
	} {
		dir := createFiles(t, map[string]string{c.file: c.text})
		r := read(t, likes, dir)
		if len(r.Seeds) > 0 || len(r.Problems) != 1 || !strings.HasPrefix(strings.TrimPrefix(r.Problems[0].String(), dir+"/"), c.want) {
			t.Errorf("%s: %v, %v", name, r.Seeds, r.Problems)
		}
	}
	for _, text := range []string{"# Likes\n", "We have likes: many\n", "{% likes: %}\n", "Text\n\nlikes: 12\n", "likes\n: 12\n", "---- \nx"} {
		if r := read(t, likes, createFiles(t, map[string]string{"x.md": text})); len(r.Problems) > 0 {
			t.Errorf("%q: %v", text, r.Problems)
		}
	}
}

// Malicious frontmatter is read in seconds or refused.
func TestFrontmatter_Bombs(t *testing.T) {
	var text strings.Builder
	text.WriteString("---\na0: &a0 {x: 1}\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&text, "a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i-1, i-1)
	}
	text.WriteString("<<: *a59\n---\n")
	dir := createFiles(t, map[string]string{
		"merge.md": text.String(), "circle.md": "---\na: &a\n  <<: *b\nb: &b\n  <<: *a\n<<: *a\n---\n",
		"deep.md":     "{" + strings.Repeat("\"a\":{", 100) + strings.Repeat("}", 100) + "}",
		"brackets.md": "---\na: " + strings.Repeat("[", 200_000) + "\n---\n",
		"braces.md":   "---\na: " + strings.Repeat("{a: ", 60_000) + "\n---\n",
		"dashes.md":   "---\n" + strings.Repeat("- ", 100_000) + "\n---\n",
		"open.md":     "---\n" + strings.Repeat("likes: 1\n", 1<<20),
	})
	began := time.Now()
	r := read(t, likes, dir)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, want := range []string{"deep.md:1: its objects are nested too deep", "brackets.md:1: its lists", "braces.md:1: its lists", "dashes.md:1: its lists", "open.md: its frontmatter does not end"} {
		if !slices.ContainsFunc(r.Problems, func(p seed.Problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("no problem says %s: %v", want, r.Problems)
		}
	}
}

// Files that are not read are listed with the reason.
func TestFolder_SkippedFiles(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"a.md": "---\nlikes: 1\n---\n", "b.typ": "x", "c.ipynb": "{}", "d.txt": "---\nlikes: 1\n---\n", "e.astro": "---\n", "LICENSE": "x", "x/f.TXT": "x",
		"numbers.csv": "slug,likes\nx,1\n", ".hidden.txt": "x", "node_modules/x/y.txt": "x",
		"1.png": "", "2.png": "", "3.png": "", "4.png": "", "5.png": "",
	})
	folder := seed.NewFolder(likes, dir)
	r := folder.Scan(t.Context())
	expect(t, r, "blog/likes/a=1")
	text := r.Skipped()
	for _, want := range []string{
		"12 files were not read", "5 .png (1.png, 2.png, 3.png, …)", "2 .txt (d.txt, x/f.TXT)", "1 .typ (b.typ)", "1 .ipynb (c.ipynb)", "1 .astro (e.astro)",
		"1 without an extension (LICENSE)", "1 .csv (numbers.csv)", ".adoc", ".org", "documents (.csv, .tsv, .json) themselves",
	} {
		if !strings.Contains(strings.ReplaceAll(text, dir+"/", ""), want) {
			t.Errorf("%q is not in: %s", want, text)
		}
	}
	if strings.Contains(text, "hidden") || strings.Contains(text, "y.txt") {
		t.Error(text)
	}
	if r := seed.NewFolder(likes, createFiles(t, map[string]string{"a.md": "x"})).Scan(t.Context()); r.Skipped() != "" {
		t.Error(r.Skipped())
	}
}

// Tables and documents are read in the encodings and dialects of spreadsheets.
func TestTable_Dialects(t *testing.T) {
	for name, c := range map[string]struct{ file, text string }{
		"sep":               {"a.csv", "sep=;\r\nslug;likes\r\nx;12\r\n"},
		"UTF-16 with tabs":  {"a.csv", utf16(t, "slug\tlikes\r\nx\t12\r\n", unicode.LittleEndian)},
		"a quoted header":   {"a.csv", "\"slug\";\"likes, all\";\"likes\"\nx;1;12\n"},
		"carriage returns":  {"a.csv", "slug,likes\rx,12\r"},
		"comments":          {"a.csv", "# Report\n\nslug,likes\nx,12\n,\n"},
		"URLs":              {"a.csv", "url,likes\nhttps://blog.example/x/,12\n"},
		"a UTF-16 document": {"a.json", utf16(t, "{\"x\": 12}", unicode.BigEndian)},
	} {
		r := read(t, likes, filepath.Join(createFiles(t, map[string]string{c.file: c.text}), c.file))
		if got := formatSeeds(r.Seeds); !slices.Equal(got, []string{"blog/likes/x=12"}) || len(r.Problems) > 0 {
			t.Errorf("%s: %v, %v", name, got, r.Problems)
		}
	}
	r := read(t, likes, filepath.Join(createFiles(t, map[string]string{"a.csv": "slug,likes,Likes\nx,1,2\n"}), "a.csv"))
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, "two columns likes") {
		t.Error(r)
	}
}

// JSON Lines are no document: its first object would be taken for keys.
func TestDocument_JSONLines(t *testing.T) {
	dir := createFiles(t, map[string]string{"a.json": "{\"slug\": \"a\", \"likes\": 1}\n{\"slug\": \"b\", \"likes\": 2}\n"})
	r := read(t, likes, filepath.Join(dir, "a.json"))
	if len(r.Seeds) > 0 || len(r.Problems) != 1 || r.Problems[0].Line != 2 || !strings.Contains(r.Problems[0].Reason, "into one array") {
		t.Errorf("%v, %v", r.Seeds, r.Problems)
	}
}

// Hugo reads parameters of a page below params too.
func TestHugo_Params(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"hugo.toml": "", "content/a.md": "---\nparams:\n  likes: 5\n---\n", "content/b.md": "+++\nlikes = 6\n[params]\nlikes = 7\n+++\n",
	})
	expect(t, read(t, hugoRules(), filepath.Join(dir, "content")), "blog/likes/a=5", "blog/likes/b=6")
	expect(t, read(t, likes, filepath.Join(dir, "content")), "blog/likes/a=5", "blog/likes/b=6")
	expect(t, read(t, likes, filepath.Join(createFiles(t, map[string]string{"c.md": "---\nparams:\n  likes: 5\n---\n"}), "c.md")))
}
