package e2e_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// ownedPair starts two instances on one Redis, with an admin token.
func ownedPair(t *testing.T) (redis *redistest.Server, a, b *service) {
	t.Helper()
	redis = redistest.Start(t, redistest.Options{Hosted: true})
	a, b = pair(t, redis, "--admin-token", adminToken)
	return redis, a, b
}

// bothAtOnce runs calls concurrently.
func bothAtOnce(calls ...func()) {
	var both sync.WaitGroup
	for _, call := range calls {
		both.Go(call)
	}
	both.Wait()
}

func renameBody(from, to string) string { return fmt.Sprintf(`{"from":%q,"to":%q}`, from, to) }
func mergeBody(from, to string) string  { return fmt.Sprintf(`{"from":[%q],"to":%q}`, from, to) }

// Two owners merge two topics into each other at the same moment: no like is lost.
func TestMerge_BothWaysAtOnce(t *testing.T) {
	t.Parallel()
	_, a, b := ownedPair(t)
	for round := range 20 {
		x, y := fmt.Sprintf("default/likes/x%d", round), fmt.Sprintf("default/likes/y%d", round)
		for n := range 5 {
			a.like(x, visitor(n), "1")
			b.like(y, visitor(100+n), "1")
		}
		bothAtOnce(
			func() { a.owner().call("POST", "merge", mergeBody(x, y)) },
			func() { b.owner().call("POST", "merge", mergeBody(y, x)) },
		)
		if sum := a.read(x).Count + b.read(y).Count; sum != 10 {
			t.Fatalf("round %d: %d of 10 likes are left", round, sum)
		}
	}
}

// Two owners give one topic two names at the same moment: one of them wins, and the likes
// count once.
func TestRename_ToTwoNamesAtOnce(t *testing.T) {
	t.Parallel()
	_, a, b := ownedPair(t)
	for round := range 20 {
		name := func(suffix string) string { return fmt.Sprintf("default/likes/page%d%s", round, suffix) }
		for n := range 5 {
			a.like(name(""), visitor(n), "1")
		}
		var first, second response
		bothAtOnce(
			func() { first = a.owner().call("POST", "rename", renameBody(name(""), name("-a"))) },
			func() { second = b.owner().call("POST", "rename", renameBody(name(""), name("-b"))) },
		)
		if sum := a.read(name("")).Count + a.read(name("-a")).Count + a.read(name("-b")).Count; sum != 5 {
			t.Fatalf("round %d: 5 likes became %d", round, sum)
		}
		if (first.status == 200) == (second.status == 200) {
			t.Errorf("round %d: the answers are %d and %d", round, first.status, second.status)
		}
	}
}

// likeAgain repeats the likes of visitors, which must not count again, and returns the count.
func (s *service) likeAgain(topic string, visitors int) int64 {
	s.t.Helper()
	for n := range visitors {
		if c := s.like(topic, visitor(n), "1"); c.Changed == nil || *c.Changed {
			s.t.Errorf("visitor %d counts again: %+v", n, c)
		}
	}
	return s.read(topic).Count
}

// A command renames a topic directly on the store beside running instances.
func TestRename_DirectlyOnTheStore(t *testing.T) {
	t.Parallel()
	redis, a, b := ownedPair(t)
	for round := range 5 {
		from, to := fmt.Sprintf("default/likes/old%d", round), fmt.Sprintf("default/likes/new%d", round)
		for n := range 8 {
			a.like(from, visitor(n), "1")
		}
		if code, out, errors := run(t, nil, "topics", "rename", from, to, "--store", redis.URL(0), "--yes"); code != 0 {
			t.Fatalf("exit %d: %s%s", code, out, errors)
		}
		for _, s := range []*service{a, b} {
			if got := s.likeAgain(to, 8); got != 8 {
				t.Fatalf("round %d: 8 likes became %d", round, got)
			}
		}
	}
}

// An instance that was stopped during a rename does not count visitors again when it
// continues.
func TestRename_WhileAnInstanceIsStopped(t *testing.T) {
	t.Parallel()
	_, a, b := ownedPair(t)
	for round := range 5 {
		from, to := fmt.Sprintf("default/likes/old%d", round), fmt.Sprintf("default/likes/new%d", round)
		for n := range 8 {
			b.like(from, visitor(n), "1")
		}
		b.Signal(syscall.SIGSTOP)
		answer := a.owner().call("POST", "rename", renameBody(from, to))
		b.Signal(syscall.SIGCONT)
		answer.wantStatus(200)
		if got := b.likeAgain(to, 8); got != 8 {
			t.Fatalf("round %d: 8 likes became %d", round, got)
		}
	}
}

// An instance that has just started accepts nothing before it knows the settings.
func TestStart_SettingsBeforeContributions(t *testing.T) {
	t.Parallel()
	redis, a, _ := ownedPair(t)
	const from, to = "default/likes/old", "default/likes/new"
	for n := range 4 {
		a.like(from, visitor(n), "1")
	}
	o := a.owner()
	o.call("POST", "rename", renameBody(from, to)).wantStatus(200)
	o.call("POST", "blocks", `{"range":"127.9.9.0/24","reason":"test"}`).wantStatus(204)
	for range 4 {
		s := serve(t, "--store", redis.URL(0))
		s.from("127.9.9.9").do("POST", "/v1/"+to, "", "Tally-Visitor: visitor-blocked").wantStatus(403).wantBody("blocked")
		if got := s.likeAgain(to, 4); got != 4 {
			t.Fatalf("4 likes became %d at an instance that has just started", got)
		}
	}
}
