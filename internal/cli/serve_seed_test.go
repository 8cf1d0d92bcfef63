package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestServe_SeedBeforeReady(t *testing.T) {
	t.Parallel()
	dir, store := writeFolder(t, posts), sqlite(t)
	args := []string{"--store", store, "--site", "blog", "--drain", "0s", "--seed-from", dir, "--seed-site", "blog", "--seed-strip-prefix", "posts"}
	r := start(t, variables(), args...)
	first := send(t, "GET", r.public+"/v1/blog/likes/second", "")
	if first.Count != 7 {
		t.Errorf("the first answer: %+v", first)
	}
	if a := send(t, "POST", r.public+"/v1/blog/likes/second", "visitor-1"); a.Count != 8 {
		t.Errorf("a like: %+v", a)
	}
	frames := watch(t, r.public+"/v1/stream?topic=blog/likes/second")
	frames.await(t, `"count":8`)
	frames.await(t, `{"event":"live"}`)
	writePage(t, filepath.Join(dir, "posts/second/index.mdx"), "---\nlikes: 100\n---\n")
	frames.await(t, `"count":101`)
	// An invalid page is logged and keeps its seed.
	writePage(t, filepath.Join(dir, "posts/second/index.mdx"), "---\nlikes: oops\n---\n")
	eventually(t, "what is wrong", func() bool {
		record := r.log.Record("a seed cannot be read; the others are")
		at, _ := record["at"].(string)
		return strings.Contains(at, "posts/second/index.mdx:2: likes: \"oops\" is not a number")
	})
	before := send(t, "GET", r.public+"/v1/blog/likes/about", "")
	r.stop()
	r.waitExit(t)
	// The same folder changes nothing, not even a version.
	r = start(t, variables(), args...)
	if after := send(t, "GET", r.public+"/v1/blog/likes/about", ""); after != before {
		t.Errorf("seeded twice: %+v, then %+v", before, after)
	}
	if a := send(t, "GET", r.public+"/v1/blog/likes/second", ""); a.Count != 101 {
		t.Errorf("a page that cannot be read lost its seed: %+v", a)
	}
}

// likesWhile makes visitors like a topic at each of urls until stop is closed, and returns
// the number of likes.
func likesWhile(t *testing.T, topic string, stop <-chan struct{}, urls ...string) (likes func() int64) {
	t.Helper()
	counts := make([]int64, len(urls))
	var likers sync.WaitGroup
	for i, url := range urls {
		likers.Go(func() { // ends when stop is closed
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := send(t, "POST", url+"/v1/"+topic, fmt.Sprintf("visitor-%d-%d", i, n)); a.Code != "" {
					t.Errorf("a like was refused: %s", a.Code)
					return
				}
				counts[i]++
			}
		})
	}
	return func() (sum int64) {
		likers.Wait()
		for _, n := range counts {
			sum += n
		}
		return sum
	}
}

func TestServe_SeedDuringLikes(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, posts)
	r := start(t, variables(), "--store", sqlite(t), "--drain", "0s", "--seed-from", dir, "--rate-limit", "off", "--topic-limit", "off")
	frames := watch(t, r.public+"/v1/stream?topic=default/likes/about")
	stop := make(chan struct{})
	likes := likesWhile(t, "default/likes/about", stop, r.public, r.public)
	for seed := 1000; seed <= 4000; seed += 1000 {
		writePage(t, filepath.Join(dir, "about.md"), fmt.Sprintf("---\nlikes: %d\n---\n", seed))
		frames.await(t, fmt.Sprintf(`"count":%d`, seed/1000)) // followed by three more digits
	}
	close(stop)
	want := 4000 + likes()
	frames.await(t, fmt.Sprintf(`"count":%d,`, want))
	if a := send(t, "GET", r.public+"/v1/default/likes/about", ""); a.Count != want {
		t.Errorf("count %d, want %d", a.Count, want)
	}
}

func TestServe_InvalidSeeds(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, posts)
	for args, want := range map[string]string{
		"--seed-from " + filepath.Join(dir, "absent"):             "should be a folder or a file: no such file",
		"--seed-from " + dir + " --seed-site blog":                "--seed-site (flag --seed-site): there is no site \"blog\"",
		"--seed-from " + dir + " --seed-field stars=likes":        "there is no metric \"stars\"",
		"--seed-from " + dir + " --seed-field readers=likes":      "readers counts open pages",
		"--seed-field likes":                                      "",
		"--seed-from " + dir + " --seed-field likes=a,likes=b":    "likes has the fields",
		"--seed-from " + dir + " --seed-strip-prefix ../posts":    "should be the beginning of a key",
		"--seed-from " + dir + " --seed-field claps=params.claps": "",
	} {
		code, _, errors := call(t, variables(), append([]string{"check-config"}, strings.Fields(args)...)...)
		if wantCode := map[bool]int{true: exitOK, false: exitUsage}[want == ""]; code != wantCode || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q:\n%s", args, code, want, errors)
		}
	}
}
