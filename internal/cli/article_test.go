package cli

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// article is the like system that people come from: one number a post in a Redis, by
// its naming, which begins with what the post's frontmatter says when the post is first
// looked at, and which INCR and DECR move.
type article struct {
	t     *testing.T
	redis *redistest.Server
	seeds map[string]int64 // by slug
}

const articleKeys = "adowise:blog:likes:"

// like is one press of its heart, after what a page load did.
func (a article) like(slug, command string) {
	_, err := a.redis.Try("SETNX", articleKeys+slug, a.seeds[slug])
	if err == nil {
		_, err = a.redis.Try(command, articleKeys+slug)
	}
	if err != nil {
		a.t.Error(err)
	}
}

// count is what its pages show.
func (a article) count(slug string) int64 {
	text, ok := a.redis.Do("GET", articleKeys+slug).(string)
	if !ok {
		return a.seeds[slug] // nobody looked at it yet
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// A blog moves over: its posts with likes in their frontmatter, its Redis with the
// likes of years. The old system is taken over while it and the new one are liked at,
// and again once it is closed; two do so at once. Not a like is lost, of either, then
// or after the store has been copied to a Redis.
func TestArticle_Migration(t *testing.T) {
	t.Parallel()
	old := article{t, redistest.Start(t, redistest.Options{}), map[string]int64{}}
	pages := map[string]string{}
	var slugs []string
	for i := range 8 {
		slug := fmt.Sprintf("post-%d", i)
		slugs = append(slugs, slug)
		old.seeds[slug] = int64(40 + i)
		pages[slug+".md"] = fmt.Sprintf("---\ntitle: Post %d\nlikes: %d\n---\nText.\n", i, 40+i)
	}
	old.seeds["zero"], pages["zero.mdx"] = 0, "---\nlikes: 0\n---\n"
	slugs = append(slugs, "zero")
	for i, slug := range slugs[:6] { // nobody looked at the others yet
		for range 10 * i {
			old.like(slug, "INCR")
		}
		old.like(slug, "DECR")
	}

	store := sqlite(t)
	r := started(t, variables("TALLYCAST_ADMIN_TOKEN="+ownerToken), "--store", store, "--drain", "0s", "--site", "blog",
		"--seed-from", content(t, pages), "--seed-site", "blog", "--rate-limit", "off")
	env := variables("TALLYCAST_AT="+r.public, "TALLYCAST_ADMIN_TOKEN="+ownerToken)
	here := map[string]int64{}
	press := func(slug, visitor string) {
		if a := say(t, "POST", r.public+"/v1/blog/likes/"+slug, visitor); !a.Changed {
			t.Errorf("%s: %+v", slug, a)
		}
		here[slug]++
	}
	shows := func(when string) {
		t.Helper()
		for _, slug := range slugs {
			if a := say(t, "GET", r.public+"/v1/blog/likes/"+slug, ""); a.Count != old.count(slug)+here[slug] {
				t.Errorf("%s %s counts %d; it was %d, and %d were added here", when, slug, a.Count, old.count(slug), here[slug])
			}
		}
	}
	take := []string{"import", "--from", old.redis.URL(0), "--pattern", articleKeys + "*", "--topic", "blog/likes/{1}", "--as", "base"}
	for i, slug := range slugs {
		for n := range i % 3 {
			press(slug, fmt.Sprintf("early-visitor-%d", n))
		}
	}
	// While both systems are liked at, by two at once.
	var both sync.WaitGroup
	both.Go(func() {
		for range 20 {
			old.like("post-1", "INCR")
			old.like("post-6", "INCR")
		}
	})
	for range 2 {
		both.Go(func() {
			if code, out, errors := call(t, env, take...); code != exitOK {
				t.Errorf("exit %d, %s%s", code, out, errors)
			}
		})
	}
	for n := range 10 {
		press("post-1", fmt.Sprintf("meanwhile-visitor-%d", n))
		press("post-7", fmt.Sprintf("meanwhile-visitor-%d", n))
	}
	both.Wait()
	// The old one is closed: what it got since is brought over.
	if code, out, errors := call(t, env, take...); code != exitOK {
		t.Fatalf("exit %d, %s%s", code, out, errors)
	}
	shows("moved over,")
	press("post-2", "later-visitor")
	if code, out, _ := call(t, env, take...); code != exitOK || !strings.Contains(out, "; 0 changed.") {
		t.Errorf("once more: exit %d, %s", code, out)
	}
	shows("and once more,")

	// And on, to many instances that share a Redis, with everybody who liked here.
	r.stop()
	r.exits(t)
	shared := redistest.Start(t, redistest.Options{})
	if out := succeeds(t, "copy", "--from", store, "--to", shared.URL(0)); !strings.Contains(out, "both stores hold the same") {
		t.Error(out)
	}
	r = started(t, variables(), "--store", shared.URL(0), "--drain", "0s", "--site", "blog")
	shows("copied to a Redis,")
	if a := say(t, "POST", r.public+"/v1/blog/likes/post-2", "later-visitor"); a.Changed {
		t.Errorf("who liked is not known again: %+v", a)
	}
}
