package seed_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/seed"
)

const jekyllLayout = `<!doctype html><link rel="canonical" href="{{ page.url | replace: '/index.html', '/' | absolute_url }}"><b>{{ page.likes }}</b>`

// jekyllPages are pages in most forms that Jekyll supports.
var jekyllPages = map[string]string{
	"index.md":                              matter("title: Home"),
	"about.md":                              matter("title: About"),
	"My Page.md":                            matter("title: Spaces"),
	"docs/index.html":                       matter("title: Docs"),
	"docs/Guide One.markdown":               matter("title: Guide"),
	"docs/café.md":                          matter("title: Café"),
	"docs/percent 100%.md":                  matter("title: Percent"),
	"docs/dots...md":                        matter("title: Dots"),
	"linked.md":                             matter("permalink: /Some/Where/"),
	"linked-file.md":                        matter("permalink: /file.html"),
	"linked-bare.md":                        matter("permalink: bare"),
	"linked-tokens.md":                      matter("permalink: /x/:basename:output_ext"),
	"linked-word.md":                        matter("permalink: pretty"),
	"linked-escaped.md":                     matter("permalink: /caf%C3%A9/ü/"),
	"hidden-page.md":                        matter("published: false"),
	"_posts/2024-01-02-hello.md":            matter("title: Hello"),
	"_posts/2024-01-03-Hello World_&-co.md": matter("title: Signs"),
	"_posts/2024-02-29-été.markdown":        matter("title: Été"),
	"_posts/2024-12-30-week.md":             matter("title: Week"),
	"_posts/24-1-2-short.md":                matter("title: Short", "date: 2024-01-05"),
	"_posts/2024-03-04-slugged.md":          matter("slug: An other_Slug"),
	"_posts/2024-03-05-dated.md":            matter("date: 2023-06-07 08:09:10"),
	"_posts/2024-03-06-zoned.md":            matter("date: 2024-03-06 23:30:00 -0500"),
	"_posts/2024-03-07-one-category.md":     matter("category: Travel Notes"),
	"_posts/2024-03-08-categories.md":       matter("categories: Travel notes"),
	"_posts/2024-03-09-list.md":             matter("categories: [Travel, Big Notes, travel]", "category: extra"),
	"_posts/2024-03-10-block.md":            matter("categories:", "  - One", "  - Two"),
	"_posts/2024-03-11-linked.md":           matter("permalink: /own/place/"),
	"_posts/2024-03-12-pattern.md":          matter("permalink: /p/:year-:i_month-:i_day/:slug"),
	"_posts/2024-03-13-unpublished.md":      matter("published: false"),
	"_posts/2999-01-01-future.md":           matter("title: Future"),
	"_posts/2024-03-14-dots...md":           matter("title: Dots"),
	"_posts/sub/2024-03-15-below.md":        matter("title: Below"),
	"_posts/undated.md":                     matter("title: Undated"),
	"travel/_posts/2024-04-01-by-folder.md": matter("title: Folder"),
	"a/B/_posts/2024-04-02-by-folders.md":   matter("categories: more"),
	"_drafts/draft.md":                      matter("title: Draft"),
	"_recipes/Apple Pie.md":                 matter("title: Pie"),
	"_recipes/sweet/2024-05-06-cake.md":     matter("title: Cake"),
	"_recipes/linked.md":                    matter("permalink: /kitchen/"),
	"_secret/thing.md":                      matter("title: Thing"),
	"_other/thing.md":                       matter("title: No collection"),
	"vendor/bundle/x.md":                    matter("title: Vendor"),
	"skipped/page.md":                       matter("title: Skipped"),
	"_included/page.md":                     matter("title: Included"),
}

// Seeds have the keys of the pages that Jekyll builds; files without a page have no seed.
func TestJekyll_KeysOfPages(t *testing.T) {
	t.Parallel()
	const common = "url: https://blog.example\ntimezone: UTC\ncollections:\n  recipes: {output: true}\n  secret: {}\nexclude: [skipped/]\ninclude: [_included]\ndefaults:\n  - {scope: {path: ''}, values: {layout: default}}\n"
	for name, config := range map[string]string{
		"defaults":             "",
		"pretty, below a path": "baseurl: /My/blog\npermalink: pretty\n",
		"ordinal, in a zone":   "timezone: Asia/Tokyo\npermalink: ordinal\n",
		"weekdate":             "permalink: weekdate\n",
		"none, with drafts":    "permalink: none\nshow_drafts: true\nfuture: true\nunpublished: true\n",
		"a pattern":            "permalink: /:categories/:short_year-:short_month-:short_day-:long_month-:long_day-:y_day/:hour:minute:second/:slug\n",
		"another pattern":      "permalink: /:slugified_categories/:w_year/:week/:w_day/:name:output_ext\n",
		"of collections":       "", // replaced below
		"in folders":           "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(jekyllPages)
			files["_layouts/default.html"] = jekyllLayout
			files["_config.yml"] = strings.Replace(common+config, "timezone: UTC\n", "", strings.Count(config, "timezone"))
			if name == "of collections" {
				files["_config.yml"] = "url: https://blog.example/root\ntimezone: UTC\ncollections:\n  recipes: {output: true, permalink: '/cook/:path/'}\n  posts: {permalink: '/:collection/:title'}\n" +
					"defaults:\n  - scope: {path: ''}\n    values: {layout: default}\n  - scope: {path: '', type: posts}\n    values: {categories: [all]}\n" +
					"  - scope: {path: docs, type: pages}\n    values: {permalink: '/d/:basename/'}\n  - scope: {path: travel}\n    values: {published: false}\n  - scope: {path: '_posts/sub', type: posts}\n    values: {permalink: '/s/:title/'}\n"
			}
			if name == "in folders" {
				files = map[string]string{
					"_config.yml": strings.Replace(common, "recipes", "guides", 1) + "source: src\ncollections_dir: all\ndestination: out/_site\n", "src/_layouts/default.html": jekyllLayout,
					"src/about.md": matter("title: A"), "src/all/_posts/2024-01-02-a.md": matter("title: A"), "src/all/sub/_posts/2024-01-03-b.md": matter("title: B"),
					"src/_posts/2024-01-04-not.md": matter("title: No"), "src/all/_guides/x y.md": matter("title: X"), "src/all/page.md": matter("title: P"), "README.md": matter("title: No"),
				}
			}
			dir, numbered := site(t, files)
			want := build(t, dir, map[bool]string{true: "out/_site", false: "_site"}[name == "in folders"], "jekyll", "build", "--quiet", "--disable-disk-cache")
			same(t, numbered, seeded(t, seed.Rules{KeyFrom: seed.FromJekyll}, dir), want)
		})
	}
}

func TestJekyll_PostsWithoutSettings(t *testing.T) {
	dir := createFiles(t, map[string]string{"_posts/2024-01-02-hello.md": "---\nlikes: 1\n---\n", "travel/_posts/2024-01-03-x.md": "---\nlikes: 2\n---\n"})
	rules := likes
	rules.KeyFrom = seed.FromJekyll
	expect(t, read(t, rules, dir), "blog/likes/2024/01/02/hello.html=1", "blog/likes/travel/2024/01/03/x.html=2")
	expect(t, read(t, rules, filepath.Join(dir, "_posts")), "blog/likes/2024/01/02/hello.html=1")
	expect(t, read(t, rules, filepath.Join(dir, "_posts/2024-01-02-hello.md")), "blog/likes/2024/01/02/hello.html=1")
}
