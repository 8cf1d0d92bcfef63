package owner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A merge reserves its two topics by claims: settings that are changed by compare-and-set,
// so that of two merges with a common topic one waits for the other.
//
// A claim describes the whole merge. The instance that carries it out holds it as a lease:
// it changes the claim regularly, and stops before another instance may take it over. Each
// step has the lease's end as its deadline, which the store compares with its own clock,
// so that an instance that was suspended changes nothing when it resumes. Other instances
// take over a claim that they saw unchanged for the lease time. No two clocks are compared.

const (
	// defaultLeaseTime is how long another instance must see a claim unchanged before it
	// takes the claim over. It bounds how long topics stay frozen after a crash.
	defaultLeaseTime = 5 * time.Second
	// claimPoll is how often a waiting merge checks whether its topics are free.
	claimPoll = 50 * time.Millisecond
	// claimInterval is how often the settings are read while there are claims, to notice
	// an abandoned one.
	claimInterval = time.Second
	// claimWait is how many lease times a merge waits for another merge of its topics.
	claimWait = 3
)

// claim is the value of the settings that reserve topics, stored as JSON.
type claim struct {
	ID     string `json:"id"`             // of the merge; part of the marks of its topics
	From   string `json:"from,omitempty"` // empty: only the aliases of To are removed
	To     string `json:"to"`
	Rename bool   `json:"rename,omitempty"` // the topic To must not exist
	Holder string `json:"holder,omitempty"` // random for each attempt; empty: released unfinished
	Beat   int64  `json:"beat,omitempty"`   // number of renewals
}

// entries returns the settings of the claim's topics, all with value.
func (c claim) entries(value string) map[string]string {
	entries := map[string]string{}
	for _, name := range []string{c.From, c.To} {
		if topic, err := tally.ParseTopic(name); err == nil {
			entries[tally.ClaimSetting(topic)] = value
		}
	}
	return entries
}

// other returns the value of another claim in settings to one of the topics, or "".
func (c claim) other(settings map[string]string) string {
	for name := range c.entries("") {
		if value := settings[name]; value != "" {
			return value
		}
	}
	return ""
}

func (c claim) text() string {
	text, _ := json.Marshal(c) // strings, a bool and a number always marshal
	return string(text)
}

// topics returns the topics of the claim; from is the zero Topic if the claim has none.
func (c claim) topics() (from, to tally.Topic, err error) {
	if c.From != "" {
		from, err = tally.ParseTopic(c.From)
	}
	if err == nil {
		to, err = tally.ParseTopic(c.To)
	}
	return from, to, err
}

// lease is a claim that this instance holds. One goroutine uses it.
type lease struct {
	claim
	service *Service
	renewed time.Time
}

var errLeaseLost = tally.Unavailable(errors.New("another instance carries out the merge"))

// acquire claims the topics of c under a new id. If another merge has claimed one of them,
// acquire waits, or finishes that merge if it was abandoned. Errors:
// [tally.CodeStoreUnavailable], also if the topics are not free in time.
func (s *Service) acquire(ctx context.Context, c claim) (*lease, error) {
	end := time.Now().Add(claimWait * s.leaseTime)
	c.ID, c.Holder = rand.Text(), rand.Text()
	for {
		settings, err := s.store.Settings(ctx, slices.Collect(maps.Keys(c.entries("")))...)
		if err != nil {
			return nil, err
		}
		other := c.other(settings)
		if other == "" {
			l := &lease{claim: c, service: s, renewed: time.Now()}
			if swapped, err := s.store.SwapSettings(ctx, c.entries(""), c.entries(c.text())); err != nil || swapped {
				return l, err
			}
			continue
		}
		if s.isAbandoned(other) {
			if err := s.root.takeOver(ctx, other); err != nil {
				return nil, err
			}
		}
		if time.Now().After(end) {
			return nil, tally.ErrFrozen
		}
		select {
		case <-ctx.Done():
			return nil, tally.Unavailable(ctx.Err())
		case <-time.After(claimPoll):
		}
	}
}

// hold returns ctx with a deadline until which no other instance takes the claim over. Before that it
// renews the lease if a third of its time has passed.
func (l *lease) hold(ctx context.Context) (context.Context, context.CancelFunc, error) {
	// The monotonic clock stops while the machine sleeps; the wall clock does not.
	if max(time.Since(l.renewed), time.Since(l.renewed.Round(0))) > l.service.leaseTime/3 {
		now, next := time.Now(), l.claim
		next.Beat++
		swapped, err := l.service.store.SwapSettings(ctx, l.entries(l.text()), next.entries(next.text()))
		if err == nil && !swapped {
			err = errLeaseLost
		}
		if err != nil {
			return nil, nil, err
		}
		l.claim, l.renewed = next, now
	}
	ctx, cancel := context.WithDeadline(ctx, l.renewed.Add(l.service.leaseTime*2/3))
	return ctx, cancel, nil
}

// step runs one step of the merge within the lease.
func (l *lease) step(ctx context.Context, run func(ctx context.Context) error) error {
	ctx, cancel, err := l.hold(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return run(ctx)
}

// end removes the claim, or, if the store was unavailable, releases it for another instance, since the
// merge is unfinished. Then it makes all instances read the settings.
func (l *lease) end(ctx context.Context, err error) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	next := ""
	if tally.IsUnavailable(err) {
		released := l.claim
		released.Holder = ""
		released.Beat++
		next = released.text()
	}
	// If this fails, another instance takes the claim over after the lease time.
	_, _ = l.service.store.SwapSettings(within, l.entries(l.text()), l.entries(next))
	_ = l.service.Reload(ctx) // if this fails, the service reads them again soon
}
