package cli

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestServe_SeedTwoInstances(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	dir := writeFolder(t, posts)
	args := []string{"--store", redis.URL(0), "--drain", "0s", "--seed-from", dir, "--rate-limit", "off", "--topic-limit", "off", "--new-topic-limit", "off"}
	var pair [2]*running
	var starting sync.WaitGroup
	for i := range pair {
		pair[i] = startUnready(t, variables(), args...)
		starting.Go(func() { // ends with the first answer of the instance
			if a := send(t, "GET", pair[i].public+"/v1/default/likes/posts/second", ""); a.Count != 7 {
				t.Errorf("instance %d first answers %+v", i, a)
			}
		})
	}
	starting.Wait()
	stop := make(chan struct{})
	likes := likesWhile(t, "default/likes/posts/second", stop, pair[0].public, pair[1].public)
	frames := []*stream{watch(t, pair[0].public+"/v1/stream?topic=default/likes/about"), watch(t, pair[1].public+"/v1/stream?topic=default/likes/about")}
	writePage(t, filepath.Join(dir, "about.md"), "---\nlikes: 5000\n---\n")
	writePage(t, filepath.Join(dir, "posts/second/index.mdx"), "---\nlikes: 70\n---\n")
	for _, each := range frames {
		each.await(t, `"count":5000,`)
	}
	close(stop)
	want := 70 + likes()
	eventually(t, "all likes and the seed once", func() bool {
		return send(t, "GET", pair[0].public+"/v1/default/likes/posts/second", "").Count == want &&
			send(t, "GET", pair[1].public+"/v1/default/likes/posts/second", "").Count == want
	})
}

func TestServe_SeedWithoutStore(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	redis.Kill()
	r := startUnready(t, variables(), "--store", redis.URL(0), "--drain", "0s", "--base-path", "/tally", "--seed-from", writeFolder(t, posts))
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/tally.js": http.StatusOK, "/openapi.yaml": http.StatusOK} {
		if got := status(t, r.public+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if a := send(t, "GET", r.public+"/v1/default/likes/about", ""); a.Code != "store_unavailable" {
		t.Errorf("a number: %+v", a)
	}
	if code, body := processtest.Get(r.public + "/v1/stream?topic=default/likes/about"); code != http.StatusOK || !strings.Contains(body, "retry: ") || strings.Contains(body, "count") {
		t.Errorf("a stream: %d %s", code, body)
	}
	redis.Restart()
	eventually(t, "the first number", func() bool {
		a := send(t, "GET", r.public+"/v1/default/likes/about", "")
		if a.Code == "" && a.Count != 3 {
			t.Fatalf("answered %+v", a)
		}
		return a.Code == ""
	})
}

// A topic waits for its seed whatever its key ends in.
func TestServe_SeedBeforeAnswerForEveryKey(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	redis.Kill()
	r := startUnready(t, variables(), "--store", redis.URL(0), "--drain", "0s", "--base-path", "/tally", "--seed-from", writeFolder(t, posts))
	if a := send(t, "GET", r.public+"/v1/default/likes/main.js", ""); a.Code != "store_unavailable" {
		t.Errorf("GET: %+v", a)
	}
	if a := send(t, "POST", r.public+"/v1/default/likes/posts/app.css", "visitor-1"); a.Code != "store_unavailable" {
		t.Errorf("POST: %+v", a)
	}
	if got := status(t, r.public+"/badge/default/likes/main.js"); got != http.StatusServiceUnavailable {
		t.Errorf("the badge: %d", got)
	}
	if got := status(t, r.public+"/tally.js"); got != http.StatusOK {
		t.Errorf("the script: %d", got)
	}
	redis.Restart()
	eventually(t, "the first number", func() bool { return send(t, "GET", r.public+"/v1/default/likes/about", "").Count == 3 })
}

// Seeds are stored again after Redis came back empty or with older data, though no file
// changed. Without such a loss, changes by the owner stay.
func TestServe_SeedsAfterRedisLostData(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	dir := writeFolder(t, posts)
	const token = "an-admin-token-of-some-length"
	args := []string{"--store", redis.URL(0), "--drain", "0s", "--seed-from", dir, "--admin-token", token}
	pair := []*running{start(t, variables(), args...), start(t, variables(), args...)}
	topic := "/v1/default/likes/posts/second"
	counts := func(what string, want int64) {
		t.Helper()
		for _, r := range pair {
			eventually(t, what, func() bool { return send(t, "GET", r.public+topic, "").Count == want })
		}
	}
	counts("the seed", 7)
	for _, r := range pair {
		watch(t, r.public+"/v1/stream?topic=default/likes/about") // while nobody watches, the loss may stay unnoticed for a minute
	}
	redis.Do("flushall")
	counts("the seed after a flush", 7)
	redis.Kill()
	redis.Empty()
	redis.Restart()
	counts("the seed after an empty restart", 7)
	if a := send(t, "POST", pair[0].public+topic, "visitor-1"); a.Count != 8 {
		t.Errorf("a like: %+v", a)
	}

	// Older data: the restored file does not have the current seed.
	redis.Do("save")
	writePage(t, filepath.Join(dir, "posts/second/index.mdx"), "---\nlikes: 70\n---\n")
	counts("the new seed", 71)
	redis.Kill()
	redis.Restart()
	counts("the new seed over older data", 71)
	// The two instances may scan at different times. Each reports the first file in a scan that may have
	// begun before Redis was back, the second one in the scan that sets all seeds, and the third one
	// after that.
	for _, name := range []string{"first.md", "second.md", "third.md"} {
		writePage(t, filepath.Join(dir, name), "---\nlikes: many\n---\n")
		for _, r := range pair {
			eventually(t, "a problem with "+name, func() bool { return strings.Contains(r.log.String(), name) })
		}
	}

	if code, out, errors := call(t, variables(), "topics", "seed", "default/likes/posts/second", "500", "--at", pair[0].public, "--admin-token", token); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errors)
	}
	counts("what the owner set", 501)
	writePage(t, filepath.Join(dir, "about.md"), "---\nlikes: 4000\n---\n")
	eventually(t, "another page's seed", func() bool {
		return send(t, "GET", pair[0].public+"/v1/default/likes/about", "").Count == 4000
	})
	counts("what the owner set, still", 501)
}
