package owner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// errKilled is what a store says to a process that was killed: nothing of its reaches
// the data any more.
var errKilled = errors.New("killed")

// schedule lets one call of one actor at a time reach the data, in an order that is
// drawn. An actor that is killed before a call does not make it, nor any later one.
type schedule struct {
	random *rand.Rand
	events chan event
	order  []string // what was called, by whom; for messages
}

// event is an actor that wants to make a call, or has ended.
type event struct {
	actor *actor
	what  string
	ended bool
}

// actor makes calls, one after the other.
type actor struct {
	schedule *schedule
	name     string
	speed    int    // how often it is drawn, against the others
	diesAt   string // what its last call would begin with; empty: it lives
	after    int    // how many of those it makes before
	granted  chan error
	dead     bool // owned by the actor
}

// mortal returns an actor that dies in two of three cases, before a call of some
// kind.
func mortal(name string, random *rand.Rand) *actor {
	a := &actor{name: name, speed: 1 << random.IntN(4)}
	if random.IntN(3) > 0 {
		calls := []string{"edit of kind 2", "edit of kind 5", "set former", "set pause", "set merging", "restore", "dump", "register", "read", "list", "audit"}
		a.diesAt, a.after = calls[random.IntN(len(calls))], random.IntN(3)
	}
	return a
}

// dies tells whether the actor is killed before a call.
func (a *actor) dies(what string) bool {
	if a.diesAt == "" || !strings.HasPrefix(what, a.diesAt) {
		return false
	}
	a.after--
	return a.after < 0
}

// turn waits until the actor may make a call.
func (a *actor) turn(what string) error {
	if a.dead {
		return errKilled
	}
	a.schedule.events <- event{actor: a, what: what}
	if err := <-a.granted; err != nil {
		a.dead = true
		return err
	}
	return nil
}

// play runs what the actors do to their ends.
func (s *schedule) play(acts map[*actor]func()) {
	s.events = make(chan event)
	for a, act := range acts {
		a.schedule, a.granted = s, make(chan error)
		go func() { // ends with act, which play waits for
			act()
			s.events <- event{actor: a, ended: true}
		}()
	}
	var waiting []event
	for left := len(acts); left > 0; {
		if len(waiting) < left {
			if e := <-s.events; e.ended {
				left--
			} else {
				waiting = append(waiting, e)
			}
			continue
		}
		slices.SortFunc(waiting, func(a, b event) int { return strings.Compare(a.actor.name, b.actor.name) })
		var drawn []int
		for i, e := range waiting {
			drawn = append(drawn, slices.Repeat([]int{i}, e.actor.speed)...)
		}
		i := drawn[s.random.IntN(len(drawn))]
		e := waiting[i]
		waiting = slices.Delete(waiting, i, i+1)
		if e.actor.dies(e.what) {
			s.order = append(s.order, e.actor.name+" is killed before "+e.what)
			e.actor.granted <- errKilled
			continue
		}
		s.order = append(s.order, e.actor.name+": "+e.what)
		e.actor.granted <- nil
	}
}

// steppedStore is a real store of which each call waits for its actor's turn.
type steppedStore struct {
	fullStore
	actor interface{ turn(what string) error }
}

func (s steppedStore) Apply(ctx context.Context, batches []tally.Batch) {
	if err := s.actor.turn("apply"); err != nil {
		for i := range batches {
			batches[i].Err = err
		}
		return
	}
	s.fullStore.Apply(ctx, batches)
}

func (s steppedStore) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	if err := s.actor.turn("read"); err != nil {
		return slices.Repeat([]tally.Reading{{Err: err}}, len(queries))
	}
	return s.fullStore.Read(ctx, queries)
}

func (s steppedStore) Edit(ctx context.Context, edits []tally.Edit) {
	what := fmt.Sprintf("edit of kind %d, value %d of %s, if %d", edits[0].Kind, edits[0].Value, edits[0].Topic, edits[0].IfVersion)
	if err := s.actor.turn(what); err != nil {
		for i := range edits {
			edits[i].Err = err
		}
		return
	}
	s.fullStore.Edit(ctx, edits)
}

// Dump reads all first, so that what is done with a portion has turns of its own.
func (s steppedStore) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	if err := s.actor.turn("dump"); err != nil {
		return err
	}
	var portions []tally.Portion
	err := s.fullStore.Dump(ctx, scope, func(p tally.Portion) error {
		portions = append(portions, p)
		return nil
	})
	for _, p := range portions {
		if err := each(p); err != nil {
			return err
		}
	}
	return err
}

func (s steppedStore) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	if err := s.actor.turn("restore"); err != nil {
		return err
	}
	return s.fullStore.Restore(ctx, replace, portions)
}

func (s steppedStore) List(ctx context.Context, listing tally.Listing) (tally.Page, error) {
	if err := s.actor.turn("list"); err != nil {
		return tally.Page{}, err
	}
	return s.fullStore.List(ctx, listing)
}

func (s steppedStore) Register(ctx context.Context) (map[string]string, error) {
	if err := s.actor.turn("register"); err != nil {
		return nil, err
	}
	return s.fullStore.Register(ctx)
}

func (s steppedStore) SetRegister(ctx context.Context, name, value string) error {
	if err := s.actor.turn("set " + name + " to " + value); err != nil {
		return err
	}
	return s.fullStore.SetRegister(ctx, name, value)
}

func (s steppedStore) Revert(ctx context.Context, traces []tally.Trace, preview bool) ([]tally.Trace, []tally.Change, error) {
	if err := s.actor.turn("revert"); err != nil {
		return nil, nil, err
	}
	return s.fullStore.Revert(ctx, traces, preview)
}

func (s steppedStore) Audit(ctx context.Context, entry tally.AuditEntry) error {
	if err := s.actor.turn("audit"); err != nil {
		return err
	}
	return s.fullStore.Audit(ctx, entry)
}

// Two instances merge the same, each of which may be killed at any call, while visitors
// contribute to both topics at an instance that heard of nothing, and the owner sets
// another seed. Whatever the order of their calls, repeating the merge makes the sum
// what it should be.
func TestMergesOfSeveralInInAnyOrderAndKilledAnywhereAddUp(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for _, metric := range []string{"likes", "visits"} {
			for seed := range uint64(20) {
				mergeInSomeOrder(t, w, metric, seed)
				if t.Failed() {
					return
				}
			}
		}
	})
}

func mergeInSomeOrder(t *testing.T, w *world, metric string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	plain := open(w.first)
	from, to := newTopic(metric), newTopic(metric)
	want := int64(0)
	for _, topic := range []tally.Topic{from, to} {
		for n := range 3 {
			plain.like(t, topic, visitor(n))
			want++
		}
		value := int64(1 + random.IntN(1000))
		plain.edit(t, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: value})
		want += value
	}
	seen := plain.state(t, from).Version
	s := &schedule{random: random}
	first, second := mortal("first", random), mortal("second", random)
	visitors, seeder := &actor{name: "visitors", speed: 1}, &actor{name: "owner", speed: 1}
	merge := func(a *actor, store fullStore) func() {
		return func() {
			_, err := open(steppedStore{store, a}).Merge(t.Context(), a.name, []tally.Topic{from}, to)
			if err != nil && !a.dead && code(err) != tally.CodeNotFound {
				t.Errorf("%s: %v", a.name, err)
			}
		}
	}
	liked, seeded := int64(0), int64(0)
	s.play(map[*actor]func(){
		first:  merge(first, w.first),
		second: merge(second, w.second),
		visitors: func() {
			o := open(steppedStore{w.second, visitors})
			for n := range 6 {
				o.like(t, []tally.Topic{from, to}[n%2], visitor(100+n))
				liked++
			}
		},
		seeder: func() {
			// Of the topic that the owner saw: what visitors bring into being after a merge
			// has no seed at first.
			edits := []tally.Edit{{Topic: from, Kind: tally.EditSeed, Value: 5000, IfVersion: seen}}
			if (steppedStore{w.first, seeder}).Edit(t.Context(), edits); edits[0].Changed {
				seeded = 5000 - edits[0].Before.Seed
			}
		},
	})
	want += liked + seeded
	for range 3 { // what was cut off, and what came after
		if _, err := plain.Merge(t.Context(), "again", []tally.Topic{from}, to); err != nil {
			t.Fatal(err)
		}
	}
	state := plain.state(t, to)
	register, err := w.first.Register(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := ""
	for name, value := range register {
		if strings.HasPrefix(name, "merging "+from.String()) {
			left = name + "=" + value
		}
	}
	if state.Count != want || plain.state(t, from).Version != 0 || left != "" {
		t.Errorf("%s, drawn from %d: counts %+v, want %d; left in the register: %q; after\n  %s",
			metric, seed, state, want, left, strings.Join(s.order, "\n  "))
	}
	if got := plain.mine(t, to, visitor(102)); got != 1 {
		t.Errorf("%s, drawn from %d: a visitor of the old page contributes %d at the new one", metric, seed, got)
	}
}
