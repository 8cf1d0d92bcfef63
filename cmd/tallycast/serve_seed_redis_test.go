package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/processtest"
	"github.com/tallycast/tallycast/internal/redistest"
)

func TestTwoInstancesThatSeedAtOnceSeedOnce(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	dir := content(t, posts)
	args := []string{"--store", redis.URL(0), "--drain", "0s", "--seed-from", dir, "--rate-limit", "off", "--new-topic-limit", "off"}
	var pair [2]*running
	var starting sync.WaitGroup
	for i := range pair {
		pair[i] = begun(t, args...)
		starting.Go(func() { // ends with the answer: the first that this instance gives
			if a := say(t, "GET", pair[i].public+"/v1/default/likes/posts/second", ""); a.Count != 7 {
				t.Errorf("instance %d first answers %+v", i, a)
			}
		})
	}
	starting.Wait()
	stop := make(chan struct{})
	likes := likesWhile(t, "default/likes/posts/second", stop, pair[0].public, pair[1].public)
	frames := []*stream{watch(t, pair[0].public+"/v1/stream?topic=default/likes/about"), watch(t, pair[1].public+"/v1/stream?topic=default/likes/about")}
	page(t, filepath.Join(dir, "about.md"), "---\nlikes: 5000\n---\n")
	page(t, filepath.Join(dir, "posts/second/index.mdx"), "---\nlikes: 70\n---\n")
	for _, each := range frames {
		each.await(t, `"count":5000,`)
	}
	close(stop)
	want := 70 + likes()
	eventually(t, "all likes and the seed once", func() bool {
		return say(t, "GET", pair[0].public+"/v1/default/likes/posts/second", "").Count == want &&
			say(t, "GET", pair[1].public+"/v1/default/likes/posts/second", "").Count == want
	})
}

// begun is [started] without the wait for readiness.
func begun(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, code, log := make(chan struct{}), new(int), &processtest.Book{}
	args = append(args, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0")
	go func() { // ends by cancel; the cleanup waits for it
		defer close(ended)
		*code = run(ctx, args, variables(), io.Discard, log)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	r := &running{log: log, stop: cancel, ended: ended, code: code}
	r.public, r.internal = processtest.Serving(t, log, func() bool {
		select {
		case <-ended:
			t.Fatalf("it ended with %d:\n%s", *code, log)
		default:
		}
		return false
	})
	return r
}

func TestWhileTheStoreIsAwayAtTheStartNothingIsAnsweredWithoutItsSeed(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	redis.Kill9()
	r := begun(t, "--store", redis.URL(0), "--drain", "0s", "--base-path", "/tally", "--seed-from", content(t, posts))
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/tally.js": http.StatusOK, "/openapi.yaml": http.StatusOK} {
		if got := status(t, r.public+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if a := say(t, "GET", r.public+"/v1/default/likes/about", ""); a.Code != "store_unavailable" {
		t.Errorf("a number: %+v", a)
	}
	if code, body := processtest.Get(r.public + "/v1/stream?topic=default/likes/about"); code != http.StatusOK || !strings.Contains(body, "retry: ") || strings.Contains(body, "count") {
		t.Errorf("a stream: %d %s", code, body)
	}
	redis.Restart()
	eventually(t, "the first number", func() bool {
		a := say(t, "GET", r.public+"/v1/default/likes/about", "")
		if a.Code == "" && a.Count != 3 {
			t.Fatalf("answered %+v", a)
		}
		return a.Code == ""
	})
}
