package cli

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// article is the like system of the article that tallycast replaces: one number for each post in a Redis.
// The number starts with the likes in the post's frontmatter when the post is first opened, and
// changes by INCR and DECR.
type article struct {
	t     *testing.T
	redis *redistest.Server
	seeds map[string]int64 // by slug
}

const articleKeys = "adowise:blog:likes:"

// like presses the heart of a post, after loading its page.
func (a article) like(slug, command string) {
	_, err := a.redis.Try("SETNX", articleKeys+slug, a.seeds[slug])
	if err == nil {
		_, err = a.redis.Try(command, articleKeys+slug)
	}
	if err != nil {
		a.t.Error(err)
	}
}

// count returns the likes that the page shows.
func (a article) count(slug string) int64 {
	text, ok := a.redis.Do("GET", articleKeys+slug).(string)
	if !ok {
		return a.seeds[slug] // nobody has opened it yet
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// A blog migrates: its posts have likes in their frontmatter, and its Redis has the likes of
// years. Two imports run at once while visitors like in both systems, and again after the
// old one is closed. No like is lost, also after the store is copied to a Redis.
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
	for i, slug := range slugs[:6] { // nobody has opened the others yet
		for range 10 * i {
			old.like(slug, "INCR")
		}
		old.like(slug, "DECR")
	}

	store := sqlite(t)
	r := start(t, variables("TALLYCAST_ADMIN_TOKEN="+ownerToken), "--store", store, "--drain", "0s", "--site", "blog",
		"--seed-from", writeFolder(t, pages), "--seed-site", "blog", "--rate-limit", "off", "--topic-limit", "off")
	env := variables("TALLYCAST_AT="+r.public, "TALLYCAST_ADMIN_TOKEN="+ownerToken)
	here := map[string]int64{}
	press := func(slug, visitor string) {
		if a := send(t, "POST", r.public+"/v1/blog/likes/"+slug, visitor); !a.Changed {
			t.Errorf("%s: %+v", slug, a)
		}
		here[slug]++
	}
	shows := func(when string) {
		t.Helper()
		for _, slug := range slugs {
			if a := send(t, "GET", r.public+"/v1/blog/likes/"+slug, ""); a.Count != old.count(slug)+here[slug] {
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
	// Two imports at once while visitors like in both systems.
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
	// The old system is closed; its later likes are imported.
	if code, out, errors := call(t, env, take...); code != exitOK {
		t.Fatalf("exit %d, %s%s", code, out, errors)
	}
	shows("moved over,")
	press("post-2", "later-visitor")
	if code, out, _ := call(t, env, take...); code != exitOK || !strings.Contains(out, "; 0 changed.") {
		t.Errorf("once more: exit %d, %s", code, out)
	}
	shows("and once more,")

	// The store is copied to a Redis for many instances, with all visitors.
	r.stop()
	r.waitExit(t)
	shared := redistest.Start(t, redistest.Options{})
	if out := mustRun(t, "copy", "--from", store, "--to", shared.URL(0)); !strings.Contains(out, "Both stores have the same") {
		t.Error(out)
	}
	r = start(t, variables(), "--store", shared.URL(0), "--drain", "0s", "--site", "blog")
	shows("copied to a Redis,")
	if a := send(t, "POST", r.public+"/v1/blog/likes/post-2", "later-visitor"); a.Changed {
		t.Errorf("who liked is not known again: %+v", a)
	}
}
