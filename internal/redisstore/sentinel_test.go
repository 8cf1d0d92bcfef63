package redisstore_test

import (
	"errors"
	"testing"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/redistest"
	"github.com/tallycast/tallycast/internal/tally"
)

// The Sentinels lose sight of the primary, which goes on answering, and promote its
// replica.
func TestASentinelFailoverLosesNothingThatReplicasConfirmed(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	old, next := sentinels.Servers[0], sentinels.Servers[1]
	var log diary
	p := place{url: sentinels.URL(0) + "?wait=1", options: redisstore.Options{Logger: log.logger()}}
	prefix, page, other := newPrefix(), topic(t, "default/likes/page"), topic(t, "default/likes/other")
	first, second := p.connected(t, catalog(), prefix), p.connected(t, catalog(), prefix)
	direct := place{url: old.URL(0) + "?wait=1"}.connected(t, catalog(), prefix)
	viewers := []*viewer{watching(t, first, page, other), watching(t, second, page, other)}
	likes := gather(t, first, page, other)
	likes.goesOn(t, "at first", 100)

	sentinels.Cut(old, true)
	eventually(t, "the replica is promoted", func() bool { return sentinels.Names() == next.Addr })
	eventually(t, "the store follows", func() bool { return first.Lane(page) == next.Addr && second.Lane(page) == next.Addr })
	b := try(direct, patience/10, page, 1, 1<<40)
	if b.Err == nil || tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("the demoted primary, which still answers, acknowledged a like: %+v", b)
	}
	eventually(t, "Health says that nothing is acknowledged without a replica", func() bool {
		h := first.Health()
		return h.Err != nil && contains(h.Err.Error(), "replicas")
	})

	sentinels.Cut(old, false)
	likes.goesOn(t, "when the old primary is a replica", 100)
	likes.counts(t, viewers...)
	for _, v := range viewers {
		if v.said("stale") == 0 {
			t.Error("the viewer was not told that numbers may be old")
		}
	}
	eventually(t, "Health is good again", func() bool { return first.Health().Err == nil && second.Health().Err == nil })
	log.tells(t, "replicas")
	if got := log.lines("INFO", "primaries now"); len(got) != 4 { // each store, at the start and now
		t.Errorf("the change of primary is logged as %q", got)
	}
}

func TestSentinelsThatAreAwayOrKnowNothingAreNamed(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	url := sentinels.URL(0)
	wrong := place{url: "redis+sentinel://" + sentinels.Watchers[0].Addr + "/nobody"}.open(t, catalog(), newPrefix())
	if err := wrong.Connect(t.Context()); err == nil || !contains(err.Error(), `watches no primary of the name "nobody"`) {
		t.Errorf("connected: %v", err)
	}
	if h := wrong.Health(); h.Reached || h.Err == nil {
		t.Errorf("health %+v", h)
	}
	b := try(wrong, patience, topic(t, "default/likes/page"), 1, 1)
	var e *tally.Error
	if !errors.As(b.Err, &e) || e.Code != tally.CodeStoreUnavailable {
		t.Errorf("a like: %v", b.Err)
	}

	var log diary
	store := place{url: url, options: redisstore.Options{Logger: log.logger()}}.connected(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	v := watching(t, store, page)
	for _, w := range sentinels.Watchers {
		w.Kill9()
	}
	eventually(t, "Health warns", func() bool {
		h := store.Health()
		return h.Err == nil && len(h.Warnings) > 0 && contains(h.Warnings[len(h.Warnings)-1], "nobody tells which node is the primary")
	})
	like(t, store, page, 1) // the primary is there
	v.converges(t, store, page, 1)
	if got := log.lines("WARN", "nobody tells"); len(got) != 1 {
		t.Errorf("logged: %q", got)
	}
	for _, w := range sentinels.Watchers {
		w.Restart()
	}
	eventually(t, "it is over", func() bool { return len(log.lines("INFO", "told again")) == 1 })
	if v.said("stale") != 0 {
		t.Error("viewers were told that numbers are stale, though nothing was missed")
	}
}

func TestASentinelWithAPasswordIsOfferedThatOfTheURL(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	for _, w := range sentinels.Watchers {
		w.Do("ACL", "SETUSER", "default", "resetpass", ">"+redistest.Password)
	}
	store := place{url: sentinels.URL(0)}.connected(t, catalog(), newPrefix())
	like(t, store, topic(t, "default/likes/page"), 1)
}
