package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// hugoContent is a Hugo site whose built sitemap lacks one page.
var hugoContent = map[string]string{
	"hugo.toml":                      "baseURL = 'https://blog.example/'\n",
	"content/posts/My First Post.md": "---\nlikes: 7\n---\n",
	"content/posts/gone.md":          "---\nlikes: 8\n---\n",
	"content/posts/draft.md":         "---\nlikes: 9\ndraft: true\n---\n",
	"public/sitemap.xml":             "<urlset><url><loc>https://blog.example/posts/my-first-post/</loc></url></urlset>",
}

func TestSeed_KeysOfHugo(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, hugoContent)
	args := []string{"seed", "--store", sqlite(t), "--site", "blog", "--key-from", "hugo", "--sitemap", filepath.Join(dir, "public/sitemap.xml"), filepath.Join(dir, "content")}
	code, out, errors := call(t, variables(), args...)
	if code != exitOK || !strings.Contains(out, "2 topics with a seed in 3 files; 2 changed.") {
		t.Errorf("exit %d:\n%s%s", code, out, errors)
	}
	for _, want := range []string{"1 of 2 keys of the site blog is not in the sitemap", "posts/gone (" + filepath.Join(dir, "content/posts/gone.md:2"), "note: " + filepath.Join(dir, "content/posts/draft.md:1") + ": is not seeded: it is a draft"} {
		if !strings.Contains(errors, want) {
			t.Errorf("lacks %q:\n%s", want, errors)
		}
	}
	for args, want := range map[string]string{
		"--sitemap " + filepath.Join(dir, "absent.xml") + " " + dir: "the sitemap cannot be read: " + filepath.Join(dir, "absent.xml") + ": the folder of the site has no such file",
		"--key-from hugo@latest " + dir:                             "--key-from (flag --key-from): \"hugo@latest\" should be hugo",
		"--sitemap ftp://blog.example/x " + dir:                     "should be the address of a sitemap",
	} {
		if code, _, errors := call(t, variables(), append([]string{"seed", "--store", sqlite(t)}, strings.Fields(args)...)...); code == exitOK || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q:\n%s", args, code, want, errors)
		}
	}
}

// The service compares the seeds with its sitemap, at its start and later.
func TestServe_SeedsThatAreNotInTheSiteMap(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, hugoContent)
	blog := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, hugoContent["public/sitemap.xml"])
	}))
	t.Cleanup(blog.Close)
	r := start(t, variables(), "--store", sqlite(t), "--admin-token", adminToken, "--site", "blog=https://blog.example", "--site", "blog=sitemap="+blog.URL,
		"--seed-from", filepath.Join(dir, "content"), "--seed-site", "blog", "--seed-key-from", "hugo")
	eventually(t, "the warning", func() bool {
		record := r.log.Record("seeded keys are not in the sitemap: no page may show them")
		return record["missing"] == 1.0 && record["of"] == 2.0 && record["site"] == "blog" && strings.Contains(fmt.Sprint(record["examples"]), "posts/gone (")
	})
	if a := send(t, http.MethodGet, r.public+"/v1/blog/likes/posts/my-first-post", ""); a.Count != 7 {
		t.Errorf("the seed: %+v", a)
	}
	writePage(t, filepath.Join(dir, "content/posts/other.md"), "---\nlikes: 5\n---\n")
	eventually(t, "the warning of a new page", func() bool {
		records := r.log.Records("seeded keys are not in the sitemap: no page may show them")
		return records[len(records)-1]["missing"] == 2.0
	})
	env := variables("TALLYCAST_ADMIN_TOKEN=" + adminToken)
	code, out, errors := call(t, env, "seed", "--at", r.public, "--site", "blog", "--key-from", "hugo", filepath.Join(dir, "content"))
	if code != exitOK || !strings.Contains(errors, "2 of 3 keys of the site blog are not in the sitemap") {
		t.Errorf("exit %d:\n%s%s", code, out, errors)
	}
}
