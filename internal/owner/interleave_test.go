package owner_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// errKilled is the error of each call of a killed instance. No call reaches the store.
var errKilled = errors.New("killed")

// unreliable delays the calls of an instance, may suspend it for longer than a lease before one
// call, and may kill it before another. It is safe for concurrent use.
type unreliable struct {
	mu          sync.Mutex
	random      *rand.Rand
	suspendedAt int // call; 0: never
	killedAt    int // call; 0: never
	calls       int
}

// newUnreliable returns an unreliable that suspends and kills at random calls below bound, each
// with probability 1/2.
func newUnreliable(seed uint64, bound int) *unreliable {
	u := &unreliable{random: rand.New(rand.NewPCG(seed, 17))}
	for _, at := range []*int{&u.suspendedAt, &u.killedAt} {
		if u.random.IntN(2) == 0 {
			*at = 1 + u.random.IntN(bound)
		}
	}
	return u
}

func (u *unreliable) turn(string) error {
	u.mu.Lock()
	u.calls++
	dead := u.killedAt > 0 && u.calls >= u.killedAt
	suspended := u.calls == u.suspendedAt
	delay := time.Duration(u.random.IntN(3)) * time.Millisecond
	u.mu.Unlock()
	switch {
	case dead:
		return errKilled
	case suspended:
		time.Sleep(3 * shortLease / 2)
	default:
		time.Sleep(delay)
	}
	return nil
}

// shortLease is long enough for a step on a busy machine.
const shortLease = time.Second

// patientLease is for merges of a test that must succeed, however busy the machine is.
const patientLease = 20 * time.Second

// steppedStore is a real store that calls actor before each call. The actor may delay the call
// or make it fail.
type steppedStore struct {
	fullStore
	actor interface{ turn(what string) error }
	// unclear is set if the result of a call is ambiguous; may be nil.
	unclear *atomic.Bool
}

func (s steppedStore) Apply(ctx context.Context, batches []tally.Batch) {
	if err := s.actor.turn("apply"); err != nil {
		for i := range batches {
			batches[i].Err = err
		}
		return
	}
	s.fullStore.Apply(ctx, batches)
	for i := range batches {
		var marked *tally.MarkError
		if s.unclear != nil && batches[i].Err != nil && !errors.As(batches[i].Err, &marked) {
			s.unclear.Store(true)
		}
	}
}

func (s steppedStore) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	if err := s.actor.turn("read"); err != nil {
		return slices.Repeat([]tally.Reading{{Err: err}}, len(queries))
	}
	return s.fullStore.Read(ctx, queries)
}

func (s steppedStore) History(ctx context.Context, period tally.Period, topics []tally.Topic) []tally.History {
	if err := s.actor.turn("read"); err != nil {
		return slices.Repeat([]tally.History{{Err: err}}, len(topics))
	}
	return s.fullStore.History(ctx, period, topics)
}

func (s steppedStore) Edit(ctx context.Context, edits []tally.Edit) {
	if err := s.actor.turn("edit"); err != nil {
		for i := range edits {
			edits[i].Err = err
		}
		return
	}
	s.fullStore.Edit(ctx, edits)
	for i := range edits {
		if err := edits[i].Err; s.unclear != nil && code(err) == tally.CodeStoreUnavailable && !errors.Is(err, tally.ErrFrozen) {
			s.unclear.Store(true)
		}
	}
}

// Dump reads everything first, so that a slow callback does not delay the store.
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

func (s steppedStore) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	if err := s.actor.turn("settings"); err != nil {
		return nil, err
	}
	return s.fullStore.Settings(ctx, names...)
}

func (s steppedStore) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	if err := s.actor.turn("swap"); err != nil {
		return false, err
	}
	return s.fullStore.SwapSettings(ctx, expected, entries)
}

func (s steppedStore) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	if err := s.actor.turn("mark"); err != nil {
		return "", err
	}
	return s.fullStore.SwapMark(ctx, topic, from, to)
}

func (s steppedStore) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) ([]tally.JournalEntry, []tally.Change, error) {
	if err := s.actor.turn("revert"); err != nil {
		return nil, nil, err
	}
	return s.fullStore.Revert(ctx, entries, mode)
}

func (s steppedStore) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	if err := s.actor.turn("audit"); err != nil {
		return err
	}
	return s.fullStore.AppendAudit(ctx, entries...)
}

// leasedStore is a real store that fails the test if a step of a merge may be applied after the
// lease has ended.
type leasedStore struct {
	fullStore
	t     *testing.T
	lease time.Duration
}

func (s leasedStore) check(ctx context.Context, step string) {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > s.lease {
		s.t.Errorf("%s has the deadline %s, %v", step, time.Until(end), ok)
	}
}

func (s leasedStore) Edit(ctx context.Context, edits []tally.Edit) {
	s.check(ctx, "an edit")
	s.fullStore.Edit(ctx, edits)
}

func (s leasedStore) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	s.check(ctx, "a restore")
	return s.fullStore.Restore(ctx, replace, portions)
}

func (s leasedStore) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	if from != to { // else it is a read
		s.check(ctx, "a mark")
	}
	return s.fullStore.SwapMark(ctx, topic, from, to)
}

// The deadline of each step of a merge is within the lease, so that an instance that was suspended
// changes nothing when it resumes.
func TestMerge_StepsEndWithinLease(t *testing.T) {
	t.Parallel()
	o := openWith(leasedStore{onSQLite(t).first, t, patientLease}, owner.Options{LeaseTime: patientLease})
	from, to := newTopic("claps"), newTopic("claps")
	o.contribute(t, from, visitor(1), 2, readerAddress)
	o.contribute(t, to, visitor(2), 3, readerAddress)
	o.mergeAll(t, to, from)
	o.counts(t, to, 5)
}
