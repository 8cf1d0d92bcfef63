package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// writeFolder writes files below a new folder, by their paths.
func writeFolder(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		writePage(t, filepath.Join(dir, name), text)
	}
	return dir
}

// writePage replaces a file atomically, as editors do.
func writePage(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// posts are pages whose frontmatter has likes, as in the article.
var posts = map[string]string{
	"posts/how-i-built-a-like-system.md": "---\ntitle: How I Built a Globally Persistent Like System\nlikes: 42\n---\nHello.\n",
	"posts/second/index.mdx":             "---\nlikes: 7\napplause: 30\n---\n",
	"about.md":                           "+++\ntitle = 'About'\nlikes = 3\n+++\n",
	"contact.md":                         "---\ntitle: Nobody likes this\n---\n",
}

func TestSeed_Store(t *testing.T) {
	t.Parallel()
	dir, store := writeFolder(t, posts), sqlite(t)
	args := []string{"seed", "--store", store, "--site", "blog", "--field", "likes=likes", "--field", "claps=applause", dir}
	expect := func(wantCode int, args []string, want ...string) string {
		t.Helper()
		code, out, errors := call(t, variables(), args...)
		if code != wantCode {
			t.Errorf("%v: exit %d, want %d: %s", args, code, wantCode, errors)
		}
		for _, text := range want {
			if !strings.Contains(out+errors, text) {
				t.Errorf("%v lacks %q:\n%s%s", args, text, out, errors)
			}
		}
		return out
	}
	dry := append([]string{"seed", "--dry-run"}, args[1:]...)
	// A dry run does not create the store.
	out := expect(exitOK, dry, "4 topics with a seed in 4 files; 4 would change.")
	if got := line(t, out, "blog/likes/posts/how-i-built-a-like-system"); !strings.HasSuffix(got, " 0 42 "+filepath.Join(dir, "posts/how-i-built-a-like-system.md:3")) {
		t.Error(got)
	}
	if _, err := os.Stat(strings.TrimPrefix(store, "sqlite:")); err == nil {
		t.Error("a dry run made the store")
	}
	expect(exitOK, args, "4 topics with a seed in 4 files; 4 changed.")
	expect(exitOK, args, "; 0 changed.")
	writePage(t, filepath.Join(dir, "about.md"), "+++\nlikes = 4\n+++\n")

	// A service uses the file: a dry run is possible, a change is not.
	r := start(t, variables(), "--store", store, "--site", "blog", "--drain", "0s")
	if a := send(t, "POST", r.public+"/v1/blog/likes/about", "visitor-1"); a.Count != 4 {
		t.Errorf("a like on a seed of 3: %+v", a)
	}
	out = expect(exitOK, dry, "; 1 would change.")
	if got := line(t, out, "blog/likes/about"); !strings.Contains(got, " 3 4 ") {
		t.Error(got)
	}
	expect(exitUsage, args, "the database is in use", "ask it instead: --at http://127.0.0.1:8080")
	r.stop()
	r.waitExit(t)
	expect(exitOK, args, "; 1 changed.")
	r = start(t, variables(), "--store", store, "--site", "blog", "--drain", "0s")
	for topic, want := range map[string]int64{"likes/about": 5, "likes/posts/second": 7, "claps/posts/second": 30, "likes/contact": 0} {
		if a := send(t, "GET", r.public+"/v1/blog/"+topic, ""); a.Count != want {
			t.Errorf("%s: %d, want %d", topic, a.Count, want)
		}
	}
}

// A dry run on a Redis that no service has used shows the seeds that would be set.
func TestSeed_DryRunOnNewRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	file := write(t, "likes.csv", "topic,count\nblog/likes/a,3\n")
	for _, command := range []string{"seed", "import"} {
		code, out, errors := call(t, variables(), command, "--dry-run", "--store", redis.URL(0), "--site", "blog", file)
		if code != exitOK || !strings.Contains(out, "1 would change.") {
			t.Errorf("%s: exit %d: %s%s", command, code, out, errors)
		}
	}
	if code, _, errors := call(t, variables(), "export", "--store", redis.URL(0)); code != exitFailure || !strings.Contains(errors, "no secret yet") {
		t.Errorf("export: exit %d: %s", code, errors)
	}
}

func TestSeed_Service(t *testing.T) {
	t.Parallel()
	const token = "a-token-that-only-the-owner-knows"
	dir := writeFolder(t, posts)
	writePage(t, filepath.Join(dir, "readers.csv"), "topic,count\nblog/readers/x,1\nblog/likes/new,9\n")
	r := start(t, variables(), "--store", sqlite(t), "--site", "blog", "--drain", "0s", "--base-path", "/tally", "--admin-token", token)
	if a := send(t, "POST", r.public+"/v1/blog/likes/about", "visitor-1"); a.Count != 1 {
		t.Fatalf("a like: %+v", a)
	}
	frames := watch(t, r.public+"/v1/stream?topic=blog/likes/about")
	frames.await(t, `"count":1,`)
	env := variables("TALLYCAST_ADMIN_TOKEN=" + token)
	args := []string{"seed", "--at", r.public, "--site", "blog", dir}
	code, out, errors := call(t, env, append(args, "--dry-run")...)
	if code != exitOK || !strings.Contains(out, "3 would change.") || !strings.HasPrefix(line(t, out, "blog/likes/about"), "blog/likes/about 0 3 ") {
		t.Errorf("exit %d:\n%s%s", code, out, errors)
	}
	if code, out, errors = call(t, env, args...); code != exitOK || !strings.Contains(out, "; 3 changed.") {
		t.Errorf("exit %d:\n%s%s", code, out, errors)
	}
	frames.await(t, `"count":4,`)
	if code, out, _ = call(t, env, args...); code != exitOK || !strings.Contains(out, "; 0 changed.") {
		t.Errorf("a second run: exit %d:\n%s", code, out)
	}
	code, out, errors = call(t, env, append(args, filepath.Join(dir, "readers.csv"))...)
	if code != exitFailure || !strings.Contains(out, "; 1 changed.") || !strings.Contains(errors, "readers.csv:2: blog/readers/x: ") {
		t.Errorf("what is refused in its place: exit %d:\n%s%s", code, out, errors)
	}
	if code, _, errors = call(t, variables("TALLYCAST_ADMIN_TOKEN=another-token-than-the-owners"), args...); code != exitFailure || !strings.Contains(errors, "does not accept this token") {
		t.Errorf("a wrong token: exit %d: %s", code, errors)
	}
}

func TestSeed_InvalidSeeds(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, map[string]string{"a.md": "---\nlikes: 1\n---\n", "b.md": "---\nlikes: lots\n---\n", "likes.csv": "topic,count\nblog/likes/c,3\nblog/readers/d,4\nelse/likes/e,5\n"})
	code, out, errors := call(t, variables(), "seed", "--store", sqlite(t), "--site", "blog", dir, filepath.Join(dir, "likes.csv"))
	if code != exitFailure || !strings.Contains(out, "; 2 changed.") {
		t.Errorf("exit %d: %s", code, out)
	}
	for _, want := range []string{"b.md:2: likes: \"lots\" is not a number", "likes.csv:3: blog/readers/d: readers counts open pages", "likes.csv:4: else/likes/e: there is no site \"else\""} {
		if !strings.Contains(errors, filepath.Join(dir, want)) {
			t.Errorf("lacks %q:\n%s", want, errors)
		}
	}
}

func TestSeed_InvalidCommandLines(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"seed": "name at least one folder",
		"seed --store sqlite:x.db --at http://h x": "choose one",
		"seed --store mysql://h x":                 "--store",
		"seed --field Likes=likes x":               "should be metric=field",
		"seed --field likes=a --field likes=b x":   "likes has the fields",
		"seed --site Blog x":                       "should be the name of a site",
		"seed --strip-prefix a//b x":               "should be the beginning of a key",
		"seed x":                                   "--admin-token",
	} {
		if code, _, errors := call(t, variables(), strings.Fields(args)...); code != exitUsage || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q:\n%s", args, code, want, errors)
		}
	}
}
