//go:build frameworks

package seed_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/internal/seed"
)

// installed installs the packages of an example and returns their folder.
func installed(t *testing.T, example string) (modules string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../web/examples", example))
	if err != nil {
		t.Fatal(err)
	}
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, ".package-lock.json")); err == nil {
		return modules // it is there
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in %s: %v\n%s", dir, err, out)
	}
	return modules
}

// withModules links the packages into dir.
func withModules(t *testing.T, dir, modules string) {
	t.Helper()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

// unusualNames returns posts with names that frameworks change.
func unusualNames(below string) map[string]string {
	files := map[string]string{}
	for _, name := range []string{
		"hello.md", "My First Post.md", "UPPER_case.md", "café au lait.md", "Dogs & Cats - both (2).md", "2024-01-02-dated.md", "v1.2 notes.md",
		"nested/deep er/index.md", "日本語.md", "trailing-.md",
	} {
		files[below+"/"+name] = matter("title: x")
	}
	return files
}

const astroPage = `---
const { likes } = Astro.props.frontmatter ?? Astro.props;
---
<!doctype html><html><head><link rel="canonical" href={new URL(Astro.url.pathname, Astro.site)}></head><body><b>{likes}</b></body></html>
`

// Seeds have the keys of the pages that Astro builds from collections and src/pages.
func TestAstro_KeysOfPages(t *testing.T) {
	modules := installed(t, "astro")
	files := unusualNames("src/content/posts")
	maps.Copy(files, map[string]string{
		"src/content/posts/slugged.md":    matter("slug: another/Slug"),
		"src/pages/about.md":              matter("layout: ../Layout.astro"),
		"src/pages/My Notes/A Page.md":    matter("layout: ../../Layout.astro"),
		"src/pages/My Notes/index.md":     matter("layout: ../../Layout.astro"),
		"src/pages/index.md":              matter("layout: ../Layout.astro"),
		"src/pages/_hidden.md":            matter("layout: ../Layout.astro"),
		"src/Layout.astro":                astroPage,
		"astro.config.mjs":                "export default { site: 'https://blog.example', devToolbar: { enabled: false } };\n",
		"package.json":                    `{"type": "module"}`,
		"src/content.config.mjs":          "import { defineCollection } from 'astro:content';\nimport { glob } from 'astro/loaders';\nexport const collections = { posts: defineCollection({ loader: glob({ pattern: '**/*.md', base: './src/content/posts' }) }) };\n",
		"src/pages/posts/[...slug].astro": "---\nimport { getCollection } from 'astro:content';\nimport Layout from '../../Layout.astro';\nexport const getStaticPaths = async () => (await getCollection('posts')).map(({ id, data }) => ({ params: { slug: id }, props: data }));\n---\n<Layout {...Astro.props} />\n",
	})
	dir, numbered := site(t, files)
	withModules(t, dir, modules)
	t.Setenv("ASTRO_TELEMETRY_DISABLED", "1")
	want := build(t, dir, "dist", "node", filepath.Join(modules, "astro/astro.js"), "build")
	same(t, numbered, seeded(t, seed.Rules{KeyFrom: seed.FromAstro}, filepath.Join(dir, "src")), want)
}

const nextPosts = `import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
const content = join(process.cwd(), 'content');
export const names = () => readdirSync(content, { recursive: true }).filter((name) => name.endsWith('.md')).map((name) => name.replace(/\.md$/, ''));
export const likes = (name) => /likes: (\d+)/.exec(readFileSync(join(content, name + '.md'), 'utf8'))[1];
`

const nextPage = `import { names, likes } from '../../../posts.js';
export const dynamicParams = false;
export const generateStaticParams = () => names().map((name) => ({ slug: name.split('/') }));
const nameOf = async (params) => (await params).slug.map(decodeURIComponent).join('/');
export const generateMetadata = async ({ params }) => ({
  alternates: { canonical: 'https://blog.example/posts/' + (await nameOf(params)).split('/').map(encodeURIComponent).join('/') },
});
export default async function Post({ params }) {
  return <b>{likes(await nameOf(params))}</b>;
}
`

// Seeds have the keys of the pages that Next.js builds at the paths of their files.
func TestNext_KeysOfPages(t *testing.T) {
	modules := installed(t, "next")
	files := unusualNames("content")
	delete(files, "content/nested/deep er/index.md") // its page would be index, which is another key
	files["content/nested/deep er.md"] = matter("title: x")
	maps.Copy(files, map[string]string{
		"package.json":                `{"type": "module"}`,
		"posts.js":                    nextPosts,
		"app/layout.js":               "export default function Layout({ children }) { return <html lang=\"en\"><body>{children}</body></html>; }\n",
		"app/posts/[...slug]/page.js": nextPage,
	})
	dir, numbered := site(t, files)
	withModules(t, dir, modules)
	t.Setenv("NEXT_TELEMETRY_DISABLED", "1")
	want := build(t, dir, ".next/server/app", "node", filepath.Join(modules, "next/dist/bin/next"), "build", "--webpack")
	same(t, numbered, seeded(t, seed.Rules{AddPrefix: "posts"}, filepath.Join(dir, "content")), want)
}
