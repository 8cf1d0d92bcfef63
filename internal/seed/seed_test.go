package seed_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

var likes = seed.Rules{Site: "blog", Fields: []seed.Field{{Metric: "likes", Name: "likes"}}}

// createFiles writes files, by their paths, into a new folder.
func createFiles(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// formatSeeds returns seeds as topic=count, sorted.
func formatSeeds(seeds []seed.Seed) (all []string) {
	for _, s := range seeds {
		all = append(all, fmt.Sprintf("%s=%d", s.Topic, s.Count))
	}
	slices.Sort(all)
	return all
}

func expect(t *testing.T, r seed.Result, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := formatSeeds(r.Seeds); !slices.Equal(got, want) {
		t.Errorf("seeds\n got: %s\nwant: %s\n%v", strings.Join(got, "\n      "), strings.Join(want, "\n      "), r.Problems)
	}
}

func read(t *testing.T, rules seed.Rules, paths ...string) seed.Result {
	t.Helper()
	if err := rules.Validate(); err != nil {
		t.Fatal(err)
	}
	return seed.NewFolder(rules, paths...).Scan(t.Context())
}

func TestFolder_Pages(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"posts/hello.md":             "---\ntitle: Hello\nlikes: 12\n---\nlikes: 99\n",
		"posts/bundle/index.md":      "---\r\nlikes: 13\r\n---\r\n",
		"posts/_index.md":            "---\nlikes: 14\n---\n",
		"index.mdx":                  "\ufeff---\nLikes: 15\n---\n",
		"about.md":                   "+++\ntitle = 'About'\nlikes = 16\n[params]\napplause = 1_000\n+++\n",
		"nested.md":                  "---\nparams: {applause: 17}\n---\n",
		"quoted.markdown":            "---\nlikes: \"18\"\n---",
		"anchored.md":                "---\nbase: &n 19\nlikes: !!int 19\n---\n",
		"page.html":                  "---\nlikes: 20\n---\n<p>",
		"zero.md":                    "---\nlikes: 0\n---\n",
		"empty.md":                   "---\nlikes:\n---\n",
		"none.md":                    "---\ntitle: nothing here\n---\n",
		"bare.md":                    "no frontmatter",
		"void.md":                    "",
		"empty-frontmatter.md":       "---\n---\n",
		"ünï cödé/Größe.md":          "---\nlikes: 21\n---\n",
		".obsidian/hidden.md":        "---\nlikes: 1\n---\n",
		"node_modules/x/README.md":   "---\nlikes: 1\n---\n",
		"data.json":                  `{"hello": 1}`,
		"likes.csv":                  "slug,likes\nhello,1\n",
		"posts/.draft.md":            "---\nlikes: 1\n---\n",
		"posts/long.md":              "---\nlikes: 22\n---\n" + strings.Repeat("x", 1<<20),
		"posts/2024-01-02-a-post.md": "---\nlikes: 23\n---\n",
	})
	rules := likes
	rules.Fields = append(slices.Clone(rules.Fields), seed.Field{Metric: "claps", Name: "params.applause"})
	r := read(t, rules, dir)
	expect(t, r, "blog/likes/posts/hello=12", "blog/likes/posts/bundle=13", "blog/likes/posts=14", "blog/likes/index=15",
		"blog/likes/about=16", "blog/claps/about=1000", "blog/claps/nested=17", "blog/likes/quoted=18", "blog/likes/anchored=19",
		"blog/likes/page=20", "blog/likes/zero=0", "blog/likes/ünï cödé/Größe=21", "blog/likes/posts/long=22",
		"blog/likes/posts/2024-01-02-a-post=23")
	if len(r.Problems) > 0 {
		t.Error(r.Problems)
	}
}

func TestRules_Keys(t *testing.T) {
	page := func(lines string) string { return "---\nlikes: 1\n" + lines + "---\n" }
	for name, c := range map[string]struct {
		rules      seed.Rules
		file, text string
		want       string
	}{
		"slug":                          {seed.Rules{KeyFrom: seed.FromSlug}, "posts/a.md", page("slug: hello\n"), "hello"},
		"slug from a file name":         {seed.Rules{KeyFrom: seed.FromSlug}, "_posts/2024-01-02-hello.md", page(""), "hello"},
		"slug from a bundle":            {seed.Rules{KeyFrom: seed.FromSlug}, "posts/hello/index.md", page(""), "hello"},
		"permalink":                     {seed.Rules{KeyFrom: seed.FromPermalink}, "a.md", page("permalink: /2024/hello/\n"), "2024/hello"},
		"permalink with host":           {seed.Rules{KeyFrom: seed.FromPermalink}, "a.md", page("url: https://blog.example.com/x%20y/index.html?b=2&a=1#top\n"), "x y?a=1&b=2"},
		"permalink of the home page":    {seed.Rules{KeyFrom: seed.FromPermalink}, "a.md", page("permalink: /\n"), "index"},
		"path with permalink false":     {seed.Rules{KeyFrom: seed.FromPermalink}, "posts/a.md", page("permalink: false\n"), "posts/a"},
		"path without permalink":        {seed.Rules{KeyFrom: seed.FromPermalink}, "posts/a.md", page(""), "posts/a"},
		"field":                         {seed.Rules{KeyFrom: "id"}, "a.md", page("id: 2024\n"), "2024"},
		"prefix stripped":               {seed.Rules{StripPrefix: "/posts/"}, "posts/a.md", page(""), "a"},
		"prefix that is no segment":     {seed.Rules{StripPrefix: "post"}, "posts/a.md", page(""), "posts/a"},
		"prefix that is the whole key":  {seed.Rules{StripPrefix: "posts"}, "posts/_index.md", page(""), "index"},
		"prefix added":                  {seed.Rules{AddPrefix: "blog/"}, "a.md", page(""), "blog/a"},
		"prefix added to the home page": {seed.Rules{AddPrefix: "/blog"}, "index.md", page(""), "blog"},
		"prefix replaced":               {seed.Rules{StripPrefix: "posts", AddPrefix: "blog"}, "posts/a.md", page(""), "blog/a"},
		"Unicode normalisation":         {seed.Rules{}, "u\u0308.md", page(""), "\u00fc"},
		"empty slug":                    {seed.Rules{KeyFrom: seed.FromSlug}, "posts/a.md", page("slug: ''\n"), "a"},
	} {
		t.Run(name, func(t *testing.T) {
			rules := c.rules
			rules.Site, rules.Fields = likes.Site, likes.Fields
			expect(t, read(t, rules, createFiles(t, map[string]string{c.file: c.text})), "blog/likes/"+c.want+"=1")
		})
	}
}

func TestFolder_TablesAndDocuments(t *testing.T) {
	both := seed.Rules{Site: "blog", Fields: []seed.Field{{Metric: "likes", Name: "likes"}, {Metric: "claps", Name: "applause"}}}
	id := seed.Rules{Site: "blog", Fields: likes.Fields, KeyFrom: "id"}
	for name, c := range map[string]struct {
		rules      seed.Rules
		file, text string
		want       []string
	}{
		"topics":         {likes, "a.csv", "topic,count\ndefault/views/a,3\nblog/likes/b,4\n", []string{"default/views/a=3", "blog/likes/b=4"}},
		"slugs":          {both, "a.csv", "\ufeffslug;likes;applause\r\nb;1;2\r\nc;;3\r\n", []string{"blog/likes/b=1", "blog/claps/b=2", "blog/claps/c=3"}},
		"tabs":           {likes, "a.tsv", "Path\tLikes\n/posts/b/\t5\n", []string{"blog/likes/posts/b=5"}},
		"a named column": {id, "a.csv", "id, likes\n\"b, c\",6\n", []string{"blog/likes/b, c=6"}},
		"keys":           {likes, "a.json", `{"b": 1, "posts/c": "2", "d": null}`, []string{"blog/likes/b=1", "blog/likes/posts/c=2"}},
		"keys of fields": {both, "a.json", `{"b": {"likes": 1, "applause": 2}}`, []string{"blog/likes/b=1", "blog/claps/b=2"}},
		"objects":        {likes, "a.json", `[{"slug": "b", "likes": 1e3}, {"slug": "c"}]`, []string{"blog/likes/b=1000"}},
		"an answer":      {likes, "a.json", "\ufeff" + `{"counts": [{"topic":"default/likes/b","count":43,"version":1790000000000001}]}`, []string{"default/likes/b=43"}},
		"nothing":        {likes, "a.json", `[]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, c.rules, filepath.Join(createFiles(t, map[string]string{c.file: c.text}), c.file))
			expect(t, r, c.want...)
			if len(r.Problems) > 0 {
				t.Error(r.Problems)
			}
		})
	}
}

func TestFolder_Problems(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"a-good.md":    "---\nlikes: 1\n---\n",
		"b-text.md":    "---\ntitle: x\nlikes: many\n---\n",
		"c-list.md":    "---\nlikes:\n  - 1\n---\n",
		"d-below.md":   "+++\nx = 1\nlikes = -1\n+++\n",
		"e-part.md":    "---\nlikes: 1.5\n---\n",
		"f-open.md":    "---\nlikes: 1\n",
		"g-yaml.md":    "---\nlikes: 1\n\tx: [\n---\n",
		"h-toml.md":    "+++\na = 1\nlikes = = 1\n+++\n",
		"i-great.md":   "---\nlikes: 9007199254740993\n---\n",
		"j-twice.md":   "---\nlikes: 1\nlikes: 2\n---\n",
		"k-{x}.md":     "---\n\n\nlikes: 1\n---\n",
		"l-alias.md":   "---\na: &a [1]\nlikes: *a\n---\n",
		"m-truth.md":   "---\nlikes: true\n---\n",
		"n-words.md":   "---\njust words\n---\n",
		"z-good.md":    "---\nlikes: 2\n---\n",
		"z/z-good.md":  "---\nlikes: 3\n---\n",
		"table.csv":    "slug,likes\nx,1\ny,many\nq,\"1\nx4,4\n",
		"short.csv":    "slug,likes\nx2\ny2,2\n",
		"latin.csv":    "slug,likes\n\xe4,1\ny3,3\n",
		"quote.csv":    "slug,likes\na\"b,1\ny4,4\n",
		"columns.csv":  "name,number\nx,1\n",
		"empty.csv":    "",
		"cut.json":     "{\n\"x5\": 5,\n\"y\": ",
		"kinds.json":   "{\"x6\": 6,\n\"y\": \"many\",\n\"\": 3,\n\"z\": true}",
		"list.json":    "[{\"slug\": \"x7\", \"likes\": 7},\n3,\n{\"likes\": 3}]",
		"number.json":  "7",
		"bad.json":     "{\"x8\": 8,\n 'y': 9}",
		"topics.csv":   "topic,count\nblog/likes,1\nblog/likes/x9,9\n",
		"columns2.csv": "topic,number\nx,1\n",
	})
	var paths []string
	for _, name := range []string{"table.csv", "short.csv", "latin.csv", "quote.csv", "columns.csv", "empty.csv", "cut.json", "kinds.json", "list.json", "number.json", "bad.json", "topics.csv", "columns2.csv", "missing"} {
		paths = append(paths, filepath.Join(dir, name))
	}
	r := read(t, likes, append([]string{dir}, paths...)...)
	expect(t, r, "blog/likes/a-good=1", "blog/likes/z-good=2", "blog/likes/z/z-good=3", "blog/likes/x=1", "blog/likes/x4=4", "blog/likes/y2=2", "blog/likes/y3=3", "blog/likes/y4=4",
		"blog/likes/x5=5", "blog/likes/x6=6", "blog/likes/x7=7", "blog/likes/x8=8", "blog/likes/x9=9")
	wanted := []string{
		"b-text.md:3: likes: \"many\" is not a number", "c-list.md:3: likes: a list or table is not a number", "d-below.md:3: likes: \"-1\" is out of range", "e-part.md:2: likes: \"1.5\" is 1.5 and not whole",
		"f-open.md: its frontmatter does not end", "g-yaml.md:3: is not YAML", "h-toml.md:3: is not TOML", "i-great.md:2: likes: \"9007199254740993\" is out of range",
		"j-twice.md:3: is not YAML", "k-{x}.md:1: \"k-{x}\": a key has", "l-alias.md:3: likes: a list or table is not a number", "m-truth.md:2: likes: true is not a number", "n-words.md:2: has no names",
		"table.csv:3: likes: \"many\" is not a number", "table.csv:4: a quote is opened and not closed", "short.csv:2: has 1 values", "latin.csv:2: is not UTF-8", "quote.csv:2: ", "columns.csv: its first line should name", "empty.csv: is empty",
		"cut.json:3: it is not JSON: it ends", "kinds.json:2: likes: \"many\" is not a number", "kinds.json:3: should be an object", "kinds.json:4: likes: true is not a number",
		"list.json:2: should be an object", "list.json:3: should have a field key or slug", "number.json:1: it is neither", "bad.json:2: it is not JSON",
		"topics.csv:2: \"blog/likes\": a topic is", "columns2.csv: its first line names a column topic", "missing: no such file",
	}
	for _, want := range wanted {
		if !slices.ContainsFunc(r.Problems, func(p seed.Problem) bool { return strings.HasPrefix(p.String(), filepath.Join(dir, want)) }) {
			t.Errorf("no problem says %s", want)
		}
	}
	if len(r.Problems) != len(wanted) {
		t.Errorf("%d problems, not %d", len(r.Problems), len(wanted))
	}
	if t.Failed() {
		for _, p := range r.Problems {
			t.Log(strings.TrimPrefix(p.String(), dir+"/"))
		}
	}
}

func TestFolder_UnsupportedFile(t *testing.T) {
	dir := createFiles(t, map[string]string{"numbers.jsonl": `{"tallycast":"export"}`, "posts/a.md": "---\nlikes: 3\n---\n"})
	expect(t, read(t, likes, dir), "blog/likes/posts/a=3")
	r := read(t, likes, filepath.Join(dir, "numbers.jsonl"))
	expect(t, r)
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, "tallycast import") {
		t.Errorf("problems are %v", r.Problems)
	}
}

func TestFolder_DuplicateTopic(t *testing.T) {
	dir := createFiles(t, map[string]string{"a.md": "---\nlikes: 1\n---\n", "a/index.md": "---\nlikes: 2\n---\n", "a/_index.md": "---\nlikes: 1\n---\n"})
	folder := seed.NewFolder(likes, dir)
	r := folder.Scan(t.Context())
	if len(r.Problems) != 1 {
		t.Fatal(r.Problems)
	}
	expect(t, r, "blog/likes/a=1")
	if p := r.Problems[0].String(); !strings.HasPrefix(p, filepath.Join(dir, "a.md")+":2: gives blog/likes/a the seed 1, but") &&
		!strings.HasPrefix(p, filepath.Join(dir, "a/index.md")+":2: gives blog/likes/a the seed 2, but") {
		t.Error(p)
	}
	if r = folder.Scan(t.Context()); len(r.Seeds)+len(r.Problems) > 0 {
		t.Error("reported twice:", r)
	}
}

func TestScan_ChangedFiles(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	dir := createFiles(t, map[string]string{"a.md": "---\nlikes: 1\n---\n", "b.md": "---\nlikes: 2\n---\n"})
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a.md", "b.md"} {
		if err := os.Chtimes(path(name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	folder := seed.NewFolder(likes, dir)
	expect(t, folder.Scan(t.Context()), "blog/likes/a=1", "blog/likes/b=2")
	if r := folder.Scan(t.Context()); r.FilesRead != 0 || r.Files != 2 {
		t.Errorf("read again: %+v", r)
	}
	// The same size within the same tick of the file system's clock.
	write(t, path("a.md"), "---\nlikes: 3\n---\n")
	r := folder.Scan(t.Context())
	expect(t, r, "blog/likes/a=3")
	was, err := os.Stat(path("a.md"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path("a.md"), "---\nlikes: 4\n---\n")
	if err := os.Chtimes(path("a.md"), was.ModTime(), was.ModTime()); err != nil {
		t.Fatal(err)
	}
	r = folder.Scan(t.Context())
	expect(t, r, "blog/likes/a=4")
	if r.FilesRead != 1 {
		t.Errorf("%d files read", r.FilesRead)
	}
	// A deleted file is not reported; a new and an invalid file are.
	if err := os.Remove(path("a.md")); err != nil {
		t.Fatal(err)
	}
	write(t, path("c.md"), "---\nlikes: 5\n---\n")
	write(t, path("b.md"), "---\nlikes: x\n---\n")
	r = folder.Scan(t.Context())
	expect(t, r, "blog/likes/c=5")
	if len(r.Problems) != 1 || r.Files != 2 {
		t.Errorf("%+v", r)
	}
	if r = folder.Scan(t.Context()); len(r.Problems) > 0 {
		t.Error("a problem was reported twice")
	}
	write(t, path("a.md"), "---\nlikes: 4\n---\n")
	expect(t, folder.Scan(t.Context()), "blog/likes/a=4")
}

func TestScan_ChangedLink(t *testing.T) {
	dir := createFiles(t, map[string]string{"one/a.md": "---\nlikes: 1\n---\n", "two/a.md": "---\nlikes: 2\n---\n", "three.md": "---\nlikes: 3\n---\n"})
	link := filepath.Join(dir, "current")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../three.md", filepath.Join(dir, "two", "b.md")); err != nil {
		t.Fatal(err)
	}
	folder := seed.NewFolder(likes, link)
	expect(t, folder.Scan(t.Context()), "blog/likes/a=1")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if r := folder.Scan(t.Context()); len(r.Problems) != 1 {
		t.Errorf("%v", r.Problems)
	}
	if err := os.Symlink("two", link); err != nil {
		t.Fatal(err)
	}
	expect(t, folder.Scan(t.Context()), "blog/likes/a=2", "blog/likes/b=3")
}

func TestScan_CanceledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := seed.NewFolder(likes, createFiles(t, map[string]string{"a.md": "---\nlikes: 1\n---\n"})).Scan(ctx); len(r.Seeds) > 0 {
		t.Error(r)
	}
}

func TestRules_Invalid(t *testing.T) {
	for _, text := range []string{"Likes=likes", "=likes", "likes=", ""} {
		if _, err := seed.ParseField(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if field, err := seed.ParseField("claps"); err != nil || field != (seed.Field{Metric: "claps", Name: "claps"}) {
		t.Error(field, err)
	}
	for _, rules := range []seed.Rules{{Site: "admin", Fields: likes.Fields}, {Site: "blog"}, {Site: "blog", Fields: append(likes.Fields, seed.Field{Metric: "likes", Name: "x"})}} {
		if rules.Validate() == nil {
			t.Errorf("%+v was accepted", rules)
		}
	}
}

func FuzzFolder(f *testing.F) {
	for _, name := range []string{"a.md", "a.csv", "a.json", "a.org"} {
		for _, text := range []string{
			"---\nlikes: 1\n---\n", "+++\nlikes = 1\n[params]\nx=2\n+++\n", "slug,likes\nx,1\n", "topic;count\na/b/c;1\n",
			`{"a": 1}`, `[{"slug":"a","likes":1}]`, `{"counts":[{"topic":"a/b/c","count":1}]}`, "---\n- &a [*a]\n? x\n---\n", "{\"\":[[[",
			"{\"likes\": 2.000}", "\n---\nb: &b {likes: 0042}\n<<: *b\n---\n", "---json\n{}\n---", "#+likes: 1\n", "\xff\xfe-\x00", "sep=;\nslug;likes\n",
		} {
			f.Add(name, []byte(text))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		path := filepath.Join(dir, "file"+filepath.Ext(filepath.Base(name)))
		if os.WriteFile(path, text, 0o600) != nil {
			return // not the name of a file
		}
		r := seed.NewFolder(likes, path).Scan(t.Context())
		for _, s := range r.Seeds {
			if s.Count < 0 || s.Count > tally.MaxValue || s.Topic.String() == "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
