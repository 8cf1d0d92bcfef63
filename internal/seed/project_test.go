package seed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/seed"
)

func hugoRules() seed.Rules {
	rules := likes
	rules.KeyFrom = seed.FromHugo
	return rules
}

// noted reports whether a note on the file contains text.
func noted(notes []seed.Problem, file, text string) bool {
	for _, note := range notes {
		if strings.Contains(note.File, file) && strings.Contains(note.Reason, text) {
			return true
		}
	}
	return false
}

func TestFolder_PagesOfOneSection(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"config.toml": "baseURL = 'https://blog.example/x/'\n[languages.en]\n[languages.fr]\n", "content/posts/My Post.fr.md": "---\nlikes: 1\n---\n",
		"content/posts/b/index.md": "---\nlikes: 2\n---\n", "content/about.md": "---\nlikes: 3\n---\n",
	})
	expect(t, read(t, hugoRules(), filepath.Join(dir, "content/posts")), "blog/likes/x/fr/posts/my-post=1", "blog/likes/x/posts/b=2")
	expect(t, read(t, hugoRules(), filepath.Join(dir, "content/posts/b")), "blog/likes/x/posts/b=2")
	expect(t, read(t, hugoRules(), filepath.Join(dir, "content/about.md")), "blog/likes/x/about=3")
	t.Chdir(filepath.Join(dir, "content"))
	expect(t, read(t, hugoRules(), "posts"), "blog/likes/x/fr/posts/my-post=1", "blog/likes/x/posts/b=2")
	expect(t, read(t, hugoRules(), "."), "blog/likes/x/fr/posts/my-post=1", "blog/likes/x/posts/b=2", "blog/likes/x/about=3")
}

// Without settings the defaults are assumed, with a note.
func TestFolder_HugoPagesWithoutSettings(t *testing.T) {
	dir := createFiles(t, map[string]string{"content/posts/My Post.md": "---\nlikes: 1\n---\n", "other/My Page.md": "---\nlikes: 2\n---\n"})
	r := read(t, hugoRules(), filepath.Join(dir, "content/posts"))
	expect(t, r, "blog/likes/posts/my-post=1")
	if !noted(r.Notes, "content/posts", "has no settings of Hugo") {
		t.Error(r.Notes)
	}
	expect(t, read(t, hugoRules(), filepath.Join(dir, "other")), "blog/likes/my-page=2")
}

func TestFolder_ChangedGeneratorSettings(t *testing.T) {
	dir := createFiles(t, map[string]string{"hugo.toml": "", "content/posts/A b.md": "---\nlikes: 1\n---\n"})
	old := time.Now().Add(-time.Hour)
	page := filepath.Join(dir, "content/posts/A b.md")
	if err := os.Chtimes(page, old, old); err != nil {
		t.Fatal(err)
	}
	folder := seed.NewFolder(hugoRules(), filepath.Join(dir, "content"))
	expect(t, folder.Scan(t.Context()), "blog/likes/posts/a-b=1")
	if r := folder.Scan(t.Context()); r.FilesRead != 0 {
		t.Errorf("%d files read again", r.FilesRead)
	}
	write(t, filepath.Join(dir, "hugo.toml"), "[permalinks]\nposts = '/p/:filename/'\n")
	expect(t, folder.Scan(t.Context()), "blog/likes/p/a-b=1")
	// Invalid settings are reported once, and no seed is read with other rules.
	write(t, filepath.Join(dir, "hugo.toml"), "= broken")
	r := folder.Scan(t.Context())
	expect(t, r)
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, "hugo.toml cannot be read") {
		t.Error(r.Problems)
	}
	if r = folder.Scan(t.Context()); len(r.Problems) > 0 {
		t.Error("reported twice:", r.Problems)
	}
	write(t, filepath.Join(dir, "hugo.toml"), "[permalinks]\nposts = '/q/:filename/'\n")
	expect(t, folder.Scan(t.Context()), "blog/likes/q/a-b=1")
}

// A scheduled page has no seed until it is published.
func TestFolder_ScheduledPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := createFiles(t, map[string]string{
			"content/later.md": "---\nlikes: 1\ndate: " + time.Now().Add(time.Minute).Format(time.RFC3339) + "\n---\n",
			"content/draft.md": "---\nlikes: 2\ndraft: true\n---\n",
		})
		for _, name := range []string{"later.md", "draft.md"} {
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(dir, "content", name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		folder := seed.NewFolder(hugoRules(), filepath.Join(dir, "content"))
		r := folder.Scan(t.Context())
		expect(t, r)
		if !noted(r.Notes, "later.md", "is published at") || !noted(r.Notes, "draft.md", "is a draft") || len(r.Problems) > 0 {
			t.Error(r.Notes, r.Problems)
		}
		if r = folder.Scan(t.Context()); len(r.Notes) > 0 || r.FilesRead > 0 {
			t.Error("reported twice:", r)
		}
		time.Sleep(2 * time.Minute)
		expect(t, folder.Scan(t.Context()), "blog/likes/later=1")
		if r = folder.Scan(t.Context()); r.FilesRead > 0 {
			t.Error("read again:", r)
		}
	})
}

// A note reports keys from paths that differ from the keys of the pages.
func TestFolder_KeysThatDifferFromPages(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"h/hugo.toml": "", "h/content/a.md": "---\nlikes: 1\n---\n", "h/content/A b.md": "---\nlikes: 1\n---\n", "h/content/d.md": "---\nlikes: 1\ndraft: true\n---\n",
		"j/_config.yml": "", "j/_posts/2024-01-02-a.md": "---\nlikes: 2\n---\n", "p/a.md": "---\nlikes: 3\n---\n",
		"same/hugo.toml": "", "same/content/posts/a.md": "---\nlikes: 1\n---\n", "one.jsonl": "",
	})
	for name, want := range map[string]string{
		"h/content": "2 of 3 keys differ from those of the pages that Hugo makes, such as: A b is a-b, d is no page; derive keys by its rules (hugo)",
		"j/_posts":  "1 of 1 keys differ from those of the pages that Jekyll makes, such as: 2024-01-02-a is 2024/01/02/a.html",
		"p":         "", "same/content": "",
	} {
		folder := seed.NewFolder(likes, filepath.Join(dir, name))
		r := folder.Scan(t.Context())
		if len(r.Seeds) == 0 || want != "" && !noted(r.Notes, name, want) || want == "" && len(r.Notes) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if r = folder.Scan(t.Context()); len(r.Notes) > 0 {
			t.Errorf("%s: reported twice: %v", name, r.Notes)
		}
	}
	rules := likes
	rules.KeyFrom = "likes"
	if r := seed.NewFolder(rules, filepath.Join(dir, "h")).Scan(t.Context()); len(r.Notes) > 0 {
		t.Error("with a field:", r.Notes)
	}
	rules.KeyFrom, rules.StripPrefix, rules.AddPrefix = "", "posts", "posts"
	if r := seed.NewFolder(rules, filepath.Join(dir, "same/content")).Scan(t.Context()); len(r.Notes) > 0 {
		t.Error("with prefixes that give the same keys:", r.Notes)
	}
	folder := seed.NewFolder(likes, filepath.Join(dir, "one.jsonl"))
	if r := folder.Scan(t.Context()); len(r.Problems) != 1 {
		t.Error(r.Problems)
	}
	if r := folder.Scan(t.Context()); len(r.Problems) > 0 {
		t.Error("reported twice:", r.Problems)
	}
}

// Tables and documents contain their keys.
func TestFolder_TableBesideGenerator(t *testing.T) {
	dir := createFiles(t, map[string]string{"hugo.toml": "", "likes.csv": "slug,likes\nposts/My Post,1\n/posts/x/,2\n"})
	expect(t, read(t, hugoRules(), filepath.Join(dir, "likes.csv")), "blog/likes/posts/My Post=1", "blog/likes/posts/x=2")
}

func TestHugo_UnsupportedPermalinks(t *testing.T) {
	dir := createFiles(t, map[string]string{
		"hugo.toml": "[permalinks]\nposts = '/:nonsense/'\ndocs = '/:sectionslug/x'\n", "content/posts/a.md": "---\nlikes: 1\n---\n",
		"content/docs/a.md": "---\nlikes: 1\n---\n", "content/url.md": "---\nlikes: 1\nurl: https://blog.example/x\n---\n", "content/braces.md": "---\nlikes: 1\nurl: /{x}/\n---\n",
	})
	r := read(t, hugoRules(), dir)
	expect(t, r)
	for _, want := range []string{":nonsense is not a token of Hugo", ":sectionslug, the slug of another page, is not supported", "accepts only a path", "a key has"} {
		found := false
		for _, problem := range r.Problems {
			found = found || strings.Contains(problem.Reason, want)
		}
		if !found {
			t.Errorf("no problem says %q: %v", want, r.Problems)
		}
	}
}

// Deeply nested frontmatter and settings are refused; 160 KB of them took gigabytes.
func TestFolder_DeeplyNestedYAML(t *testing.T) {
	const depth = 10_000
	for name, value := range map[string]string{
		"brackets": strings.Repeat("[", depth) + strings.Repeat("]", depth), "lines": strings.Repeat("[\n ", depth) + strings.Repeat("]\n ", depth),
		"braces": strings.Repeat("{a: ", depth) + strings.Repeat("}", depth), "after a comment": "1 # " + strings.Repeat("]", depth) + "\ny: " + strings.Repeat("[", depth) + strings.Repeat("]", depth), "dashes": "\n  " + strings.Repeat("- ", depth) + "1", "bare dashes": "\n  " + strings.Repeat("- ", depth), "questions": "\n  " + strings.Repeat("? ", depth) + "1",
	} {
		dir := createFiles(t, map[string]string{"hugo.yaml": "x: " + value + "\n", "content/a.md": "---\nlikes: 1\n---\n", "b.md": "---\nlikes: 1\nx: " + value + "\n---\n"})
		for _, r := range []seed.Result{read(t, hugoRules(), filepath.Join(dir, "content")), read(t, likes, filepath.Join(dir, "b.md"))} {
			if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, "are nested too deep") {
				t.Errorf("%s: %v", name, r.Problems)
			}
		}
	}
	ruler := "---\nlikes: 1\ntitle: x # " + strings.Repeat("-", 2000) + "\n" + "#" + strings.Repeat("-", 2000) + "\n---\n"
	expect(t, read(t, likes, filepath.Join(createFiles(t, map[string]string{"c.md": ruler}), "c.md")), "blog/likes/c=1")
}

// Patterns that repeat a title and mappings that merge each other are bounded.
func TestFolder_PatternsAndMergesThatGrow(t *testing.T) {
	long, title := strings.Repeat("/:title", 50_000), "title: "+strings.Repeat("x", 200_000)+"\n"
	merges := "base: &base {"
	for i := range 500 {
		merges += fmt.Sprintf("k%d: 1, ", i)
	}
	merges += "last: 1}\n"
	for i := range 300 {
		merges += fmt.Sprintf("m%d: {<<: *base}\n", i)
	}
	for name, c := range map[string]struct{ from, file, config, page, want string }{
		"hugo":   {seed.FromHugo, "hugo.yaml", "permalinks: {posts: '" + long + "'}", "content/posts/a.md", "has more than 2048 bytes"},
		"title":  {seed.FromHugo, "hugo.yaml", "permalinks: {posts: '" + strings.Repeat("/:title", 200) + "'}", "content/posts/a.md", "a key is at most 25"},
		"jekyll": {seed.FromJekyll, "_config.yml", "permalink: '" + long + "'", "_posts/2024-01-02-a.md", "has more than 2048 bytes"},
		"merges": {seed.FromHugo, "hugo.yaml", merges, "content/posts/a.md", "merges more than 100000 values"},
	} {
		dir := createFiles(t, map[string]string{c.file: c.config, c.page: "---\nlikes: 1\n" + title + "---\n"})
		rules := likes
		rules.KeyFrom = c.from
		if r := read(t, rules, dir); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Reason, c.want) {
			t.Errorf("%s: %.400v", name, r.Problems)
		}
	}
}

func FuzzGeneratorKeys(f *testing.F) {
	for _, seeded := range []string{"posts/My First Post.md", "a/index.fr.md", "_posts/2024-01-02-x.md", "_index.md", "x/..md", "/", "a//b.html"} {
		f.Add(seeded, "permalink: /:year/:title/", "url: /x")
	}
	f.Fuzz(func(t *testing.T, name, config, matter string) {
		if strings.Contains(name, "\x00") || len(name) > 100 || strings.Contains(name, "..") {
			return
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "content", name)
		if os.MkdirAll(filepath.Dir(path), 0o700) != nil || os.WriteFile(path, []byte("---\nlikes: 1\n"+matter+"\n---\n"), 0o600) != nil {
			return // no name of a file
		}
		for _, settings := range []string{"_config.yml", "hugo.yaml"} {
			if err := os.WriteFile(filepath.Join(dir, settings), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, from := range []string{seed.FromHugo + "@0.152", seed.FromJekyll} { // asking the installed Hugo is slow
			rules := likes
			rules.KeyFrom = from
			seed.NewFolder(rules, dir).Scan(t.Context())
		}
	})
}
