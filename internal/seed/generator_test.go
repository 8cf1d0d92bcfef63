package seed_test

import (
	"fmt"
	"html"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/seed"
)

// shownLikes and canonicalLink match parts of the pages that the layouts of these tests make.
var (
	shownLikes    = regexp.MustCompile(`<b>(\d+)</b>`)
	canonicalLink = regexp.MustCompile(`<link rel="?canonical"? href="?([^">]*?)"?\s*/?>`)
)

// build runs a site generator in dir and returns the keys that widgets use on the generated
// pages, by the number of likes that the page shows.
func build(t *testing.T, dir, output, command string, args ...string) map[int]string {
	t.Helper()
	program, err := exec.LookPath(command)
	if err != nil {
		t.Fatalf("this test compares keys with the pages that %s makes: apt-get install %s (%v)", command, command, err)
	}
	run := exec.CommandContext(t.Context(), program, args...)
	run.Dir = dir
	run.Env = append(os.Environ(), "LANG=C.UTF-8", "TZ=UTC")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	keys := map[int]string{}
	err = filepath.WalkDir(filepath.Join(dir, output), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		likes, link := shownLikes.FindSubmatch(text), canonicalLink.FindSubmatch(text)
		if likes == nil || link == nil {
			return nil
		}
		n, err := strconv.Atoi(string(likes[1]))
		if err != nil {
			return err
		}
		keys[n], err = pagekey.Of(html.UnescapeString(string(link[1])))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// seeded returns the keys of the seeds below path, by their number.
func seeded(t *testing.T, rules seed.Rules, path string) map[int]string {
	t.Helper()
	rules.Site, rules.Fields = likes.Site, likes.Fields
	result := read(t, rules, path)
	for _, problem := range result.Problems {
		t.Error(problem)
	}
	keys := map[int]string{}
	for _, each := range result.Seeds {
		keys[int(each.Count)] = each.Topic.Key()
	}
	return keys
}

// same compares the keys of seeds with the keys of pages.
func same(t *testing.T, files map[int]string, got, want map[int]string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the site has no pages")
	}
	numbers := maps.Clone(want)
	maps.Copy(numbers, got)
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		if got[n] != want[n] {
			t.Errorf("%s: the seed's key is %q, the page's %q", files[n], got[n], want[n])
		}
	}
}

// site writes files in which LIKES is replaced by a different number in each.
func site(t *testing.T, files map[string]string) (dir string, numbered map[int]string) {
	t.Helper()
	numbered = map[int]string{}
	filled := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		numbered[i+1] = name
		filled[name] = strings.ReplaceAll(files[name], "LIKES", strconv.Itoa(i+1))
	}
	return createFiles(t, filled), numbered
}

// matter returns frontmatter in YAML with likes and further lines.
func matter(lines ...string) string {
	return "---\nlikes: LIKES\n" + strings.Join(append(lines, "---\n"), "\n")
}

const hugoLayout = `<!doctype html><link rel="canonical" href="{{ .Permalink }}"><b>{{ .Params.likes }}</b>`

func hugoSite(t *testing.T, files map[string]string) (dir string, numbered map[int]string) {
	t.Helper()
	all := maps.Clone(files)
	for _, name := range []string{"_default/single.html", "_default/list.html", "index.html"} {
		all["layouts/"+name] = hugoLayout
	}
	return site(t, all)
}

// hugoPages are pages in most forms that Hugo supports.
var hugoPages = map[string]string{
	"content/_index.md":                         matter("title: Home"),
	"content/about.md":                          matter("title: About"),
	"content/My Page.md":                        matter("title: Spaces"),
	"content/posts/_index.md":                   matter("title: Posts"),
	"content/posts/My First Post.md":            matter("title: First", "date: 2024-01-02"),
	"content/posts/UPPER_case.Dotted.md":        matter("title: Upper", "date: 2024-01-02T03:04:05+09:00"),
	"content/posts/a  b --  c (d) & e!.md":      matter("title: Signs & 'Quotes' -- (x)", "date: 2024-02-03 04:05:06"),
	"content/posts/café/index.md":               matter("title: Café au lait"),
	"content/posts/日本語.md":                      matter("title: 日本語"),
	"content/posts/100% sure+plus~x@y.md":       matter("title: C++ & 100% sure"),
	"content/posts/bundle/index.md":             matter("title: Bundle", "date: 2023-12-31"),
	"content/posts/bundle/notes.md":             matter("title: A resource"),
	"content/posts/bundle/deep/more.md":         matter("title: A resource, too"),
	"content/posts/slugged.md":                  matter("title: Slugged", "slug: Another Slug"),
	"content/posts/slugged-bundle/index.md":     matter("title: Slugged bundle", "slug: -other-bundle-"),
	"content/posts/numbered.md":                 matter("title: Numbered", "slug: 2024"),
	"content/posts/url.md":                      matter("title: URL", "url: /Somewhere/Else/"),
	"content/posts/url-relative.md":             matter("title: URL", "url: below/it"),
	"content/posts/url-file.md":                 matter("title: URL", "url: /file.html"),
	"content/posts/url-index.md":                matter("title: URL", "url: /indexed/index.html"),
	"content/posts/url-escaped.md":              matter("title: URL", "url: /caf%C3%A9/x y/"),
	"content/posts/url-bundle/index.md":         matter("title: URL", "url: /moved-bundle"),
	"content/posts/draft.md":                    matter("title: Draft", "draft: true"),
	"content/posts/future.md":                   matter("title: Future", "date: 2999-01-01"),
	"content/posts/scheduled.md":                matter("title: Scheduled", "date: 2024-01-01", "publishDate: 2999-01-01"),
	"content/posts/expired.md":                  matter("title: Expired", "expiryDate: 2001-01-01"),
	"content/posts/headless/index.md":           matter("title: Headless", "headless: true"),
	"content/posts/not-headless.md":             matter("title: Not headless", "headless: true"),
	"content/posts/Dogs & Cats - both.md":       matter("title: Dogs"),
	"content/Signs & More/x - y/index.md":       matter("title: Signs"),
	"content/posts/unrendered.md":               matter("title: Unrendered", "_build:", "  render: never"),
	"content/posts/2024/nested.md":              matter("title: Nested", "date: 2024-05-06"),
	"content/posts/series/_index.md":            matter("title: Series"),
	"content/posts/series/Part One.md":          matter("title: Part One", "date: 2024-05-06"),
	"content/posts/series/2/lot/index.md":       matter("title: Deep", "date: 2024-05-06"),
	"content/posts/2024-03-04-dated.md":         matter("title: Dated"),
	"content/docs/_index.md":                    matter("title: Docs", "url: /Documentation/"),
	"content/docs/toml.md":                      "+++\nlikes = LIKES\ntitle = 'TOML'\nslug = 'in-toml'\ndate = 2024-07-08\n+++\n",
	"content/docs/json.md":                      "{\"likes\": LIKES, \"title\": \"JSON\", \"slug\": \"in-json\", \"date\": \"2024-07-09\"}\n",
	"content/docs/org.org":                      "#+likes: LIKES\n#+title: Org\n#+slug: in-org\n#+date: 2024-07-10\n",
	"content/docs/page.html":                    matter("title: HTML"),
	"content/tags/_index.md":                    matter("title: Tags"),
	"content/tags/go/_index.md":                 matter("title: Go"),
	"content/index-of.md":                       matter("title: No bundle"),
	"content/deep/er/and/deeper/Still There.md": matter("title: Deep"),
}

// Seeds have the keys of the pages that Hugo builds; files without a page have no seed.
func TestHugo_KeysOfPages(t *testing.T) {
	t.Parallel()
	with := func(files map[string]string) map[string]string {
		all := maps.Clone(hugoPages)
		maps.Copy(all, files)
		return all
	}
	french := map[string]string{
		"content/posts/My First Post.fr.md":  matter("title: Premier"),
		"content/posts/bundle/index.fr.md":   matter("title: Lot"),
		"content/_index.fr.md":               matter("title: Accueil"),
		"content/posts/_index.fr.md":         matter("title: Articles"),
		"content/posts/url.fr.md":            matter("title: URL", "url: /ailleurs/"),
		"content/posts/url-relative.fr.md":   matter("title: URL", "url: relatif/"),
		"content/posts/slugged.fr.md":        matter("title: Slug", "slug: autre"),
		"content/posts/seul.fr.md":           matter("title: Seul"),
		"content/posts/x.de.md":              matter("title: Eine Seite"),
		"content/posts/x.en.md":              matter("title: A page"),
		"content/posts/not-a-language.xx.md": matter("title: Kein"),
	}
	for name, files := range map[string]map[string]string{
		"defaults":        with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\n"}),
		"below a path":    with(map[string]string{"hugo.yaml": "baseURL: https://blog.example/My/Blog/\n"}),
		"ugly":            with(map[string]string{"config.json": `{"baseURL": "https://blog.example/", "uglyURLs": true}`}),
		"ugly posts":      with(map[string]string{"config.toml": "baseURL = 'https://blog.example/'\n[uglyURLs]\ndocs = true\n"}),
		"accents removed": with(map[string]string{"config.yml": "baseURL: https://blog.example/\nremovePathAccents: true\n"}),
		"case is kept":    with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\ndisablePathToLower = true\n"}),
		"languages": with(merged(french, map[string]string{
			"hugo.toml": "baseURL = 'https://blog.example/'\n[languages.en]\nweight = 1\n[languages.fr]\nweight = 2\n[languages.de]\ndisabled = true\n"})),
		"languages, all with a prefix": with(merged(french, map[string]string{
			"hugo.toml": "baseURL = 'https://blog.example/x/'\ndefaultContentLanguage = 'en'\ndefaultContentLanguageInSubdir = true\n[languages.en]\n[languages.fr]\n[languages.de]\n"})),
		"languages in folders": with(map[string]string{
			"config/_default/config.toml": "baseURL = 'https://blog.example/'\ndefaultContentLanguage = 'en'\n", "config/_default/languages.yaml": "en: {contentDir: content}\nfr: {contentDir: inhalt/fr}\n",
			"inhalt/fr/posts/Premier Billet.md": matter("title: Premier"), "inhalt/fr/_index.md": matter("title: Accueil"), "config/production/permalinks.toml": "docs = '/d/:slug/'\n"}),
		"one language":   with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\ndefaultContentLanguage = 'fr'\n[languages.fr]\n", "content/posts/a.fr.md": matter("title: A")}),
		"another folder": {"hugo.toml": "baseURL = 'https://blog.example/'\ncontentDir = 'src/pages'\n", "src/pages/posts/A B.md": matter("title: A"), "content/no.md": matter("title: No"), "README.md": matter("title: No")},
		"mounts": {"hugo.toml": "baseURL = 'https://blog.example/'\n[module]\n[[module.mounts]]\nsource = 'articles'\ntarget = 'content/posts'\n[[module.mounts]]\nsource = 'main'\ntarget = 'content'\n",
			"articles/A B.md": matter("title: A"), "main/about.md": matter("title: About"), "content/no.md": matter("title: No")},
		"ignored":          with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\nignoreFiles = ['slugged', '\\.html$']\ndisableKinds = ['section', 'home', 'term']\n"}),
		"drafts are built": with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\nbuildDrafts = true\nbuildFuture = true\nbuildExpired = true\n"}),
		"dates in names":   with(map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\n[frontmatter]\ndate = [':filename', ':default']\n[permalinks]\nposts = '/:year/:month/:day/:slug/'\n"}),
		"permalinks": with(map[string]string{
			"hugo.toml": "baseURL = 'https://blog.example/'\n[permalinks]\nposts = '/:year/:month/:title/'\ndocs = '/:section/:slug'\ndeep = '/:sections/:filename/'\ntags = '/topics/:slug/'\n\"/\" = '/top/:filename/'\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, numbered := hugoSite(t, files)
			want := build(t, dir, "public", "hugo", "--quiet")
			same(t, numbered, seeded(t, seed.Rules{KeyFrom: seed.FromHugo}, dir), want)
		})
	}
}

// Each section has its own pattern.
func TestHugo_Permalinks(t *testing.T) {
	t.Parallel()
	files := map[string]string{"hugo.toml": "baseURL = 'https://blog.example/'\n[permalinks]\n"}
	for i, pattern := range []string{
		"/:sections/:slug", "/s1/:sections[1:]/:slugorfilename/", "/s2/:sections[last]/:filename", "/s3/:monthname/:weekday-:weekdayname-:yearday/:filename/", "/s4/:2006-:Jan/:title", "S5/:filename/",
	} {
		section := fmt.Sprintf("s%d", i)
		files["hugo.toml"] += section + " = '" + pattern + "'\n"
		for name, text := range hugoPages {
			if rest, ok := strings.CutPrefix(name, "content/posts/"); ok && !strings.Contains(text, "\nurl:") {
				files["content/"+section+"/"+rest] = text
			}
		}
	}
	dir, numbered := hugoSite(t, files)
	same(t, numbered, seeded(t, seed.Rules{KeyFrom: seed.FromHugo}, filepath.Join(dir, "content")), build(t, dir, "public", "hugo", "--quiet"))
}

// The keys depend on the version of Hugo, also if it is not the installed one.
func TestHugo_Versions(t *testing.T) {
	t.Parallel()
	posts := map[string]string{
		"content/posts/_index.md": matter("title: Posts"), "content/posts/a.md": matter("title: A"),
		"content/tags/_index.md": matter("title: Tags"), "content/tags/go/_index.md": matter("title: Go"),
		"content/docs/_index.md":       matter("title: Docs", "url: /The-Docs!/"),
		"content/posts/unpublished.md": matter("title: Unpublished", "published: false"), // an error since Hugo 0.136
	}
	ugly, _ := site(t, merged(posts, map[string]string{"hugo.toml": "uglyURLs = true\n"}))
	uglyPosts, _ := site(t, merged(posts, map[string]string{"hugo.toml": "[uglyURLs]\nposts = true\n"}))
	const ( // lists in older and newer versions
		pages   = "posts.html posts/a.html tags.html tags/go.html"
		indexes = "posts posts/a.html tags tags/go.html"
	)
	for _, each := range []struct{ version, ugly, uglyPosts string }{
		{"0.111.3", "the-docs " + pages, "posts.html posts/a.html tags tags/go the-docs"},
		{"0.112.0", "the-docs " + pages, "posts posts/a tags tags/go the-docs"},
		{"0.135.0", "the-docs " + pages, "posts posts/a tags tags/go the-docs"},
		{"0.136.2", "The-Docs! " + pages, "The-Docs! posts.html posts/a.html tags tags/go"},
		{"0.147.9", "The-Docs! " + pages, "The-Docs! posts.html posts/a.html tags tags/go"},
		{"0.148.0", "The-Docs! " + indexes, "The-Docs! posts posts/a.html tags tags/go"},
	} {
		for dir, want := range map[string]string{ugly: each.ugly, uglyPosts: each.uglyPosts} {
			keys := slices.Sorted(maps.Values(seeded(t, seed.Rules{KeyFrom: seed.FromHugo + "@" + each.version}, dir)))
			if wanted := strings.Fields(want); !slices.Equal(keys, slices.Sorted(slices.Values(wanted))) {
				t.Errorf("Hugo %s: the keys are %q, not %q", each.version, keys, wanted)
			}
		}
	}
}

func merged(all ...map[string]string) map[string]string {
	files := map[string]string{}
	for _, each := range all {
		maps.Copy(files, each)
	}
	return files
}
