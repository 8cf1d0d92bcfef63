package owner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A merge reserves its two topics by claims: entries of the register that are set by
// compare-and-set, so that of two merges which share a topic one waits for the other.
//
// The claim names the whole merge. The instance that carries it out holds it as a
// lease: it changes the entries every so often, and stops by itself before others may
// take the claim over. Each step carries the lease's end as its deadline, which the
// store heeds in its own clock, so that an instance which was suspended does nothing
// more when it wakes. Others take over what they saw unchanged for the time of a lease.
// So no two clocks are compared.

const (
	// leaseTime is how long a claim must have been seen unchanged before another
	// instance carries it out. It bounds how long topics stay frozen after a crash.
	leaseTime = 5 * time.Second
	// claimPoll is how often a waiting merge looks whether a claim is free.
	claimPoll = 50 * time.Millisecond
	// claimReread is how soon the settings are read again while there are claims, so that
	// one which is abandoned is noticed.
	claimReread = time.Second
	// claimWait is how many leases a merge waits for another that has one of its topics.
	claimWait = 3
)

// claim is the value of the entries that reserve topics. It is stored as JSON.
type claim struct {
	ID     string `json:"id"`               // of the merge; in the marks of its topics
	From   string `json:"from,omitempty"`   // empty: only the aliases of To are edited
	To     string `json:"to"`               //
	Rename bool   `json:"rename,omitempty"` // To may not exist
	Holder string `json:"holder,omitempty"` // random, for each attempt; empty: it gave up
	Beat   int64  `json:"beat,omitempty"`   // renewals
}

// entries returns the register's entries of the claim, all with value.
func (c claim) entries(value string) map[string]string {
	entries := map[string]string{}
	for _, name := range []string{c.From, c.To} {
		if topic, err := tally.ParseTopic(name); err == nil {
			entries[tally.ClaimSetting(topic)] = value
		}
	}
	return entries
}

func (c claim) text() string {
	text, _ := json.Marshal(c) // strings and a number cannot fail
	return string(text)
}

// claims remembers since when the claims in the register are unchanged.
type claims struct {
	mu      sync.Mutex
	since   map[string]time.Time // by value; guarded by mu
	foreign map[string]bool      // values that this instance cannot carry out; guarded by mu
}

// observe notes what is in register.
func (c *claims) observe(register map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := map[string]time.Time{}
	for name, value := range register {
		if strings.HasPrefix(name, tally.ClaimPrefix) {
			if since[value] = time.Now(); !c.since[value].IsZero() {
				since[value] = c.since[value]
			}
		}
	}
	c.since = since
}

// any reports whether there were claims.
func (c *claims) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.since) > 0
}

// abandoned returns the claims in register whose holder gave up or is gone.
func (d *Service) abandoned(register map[string]string) (values []string) {
	d.claims.observe(register)
	d.claims.mu.Lock()
	defer d.claims.mu.Unlock()
	for value, since := range d.claims.since {
		var c claim
		if json.Unmarshal([]byte(value), &c) == nil && (c.Holder == "" || time.Since(since) >= d.leaseTime) {
			values = append(values, value)
		}
	}
	return values
}

// lease is a claim that this instance holds. One goroutine uses it.
type lease struct {
	claim
	service *Service
	renewed time.Time
}

var errLeaseLost = tally.Unavailable(errors.New("another instance carries out the merge"))

// acquire reserves the topics of c under a new id. If another merge has claimed one of
// them it waits, or finishes that merge if it was abandoned. Errors:
// [tally.CodeStoreUnavailable], also if the topics are not free in time.
func (d *Service) acquire(ctx context.Context, c claim) (*lease, error) {
	end := time.Now().Add(claimWait * d.leaseTime)
	c.ID, c.Holder = rand.Text(), rand.Text()
	for {
		register, err := d.store.Settings(ctx)
		if err != nil {
			return nil, err
		}
		other := ""
		for name := range c.entries("") {
			if register[name] != "" {
				other = register[name]
			}
		}
		if other == "" {
			l := &lease{claim: c, service: d, renewed: time.Now()}
			if swapped, err := d.store.SwapSettings(ctx, c.entries(""), c.entries(c.text())); err != nil || swapped {
				return l, err
			}
			continue
		}
		for _, value := range d.abandoned(register) {
			if value == other {
				if err := d.resume(ctx, value); err != nil {
					return nil, err
				}
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

// resume takes over the abandoned claim of that value and carries out its merge. It does
// nothing if another instance was faster.
func (d *Service) resume(ctx context.Context, value string) error {
	var c claim
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return fmt.Errorf("claim %q: %w", value, err)
	}
	from, to, err := c.topics()
	if err == nil && c.From != "" {
		err = d.mergeable([]tally.Topic{from}, to)
	}
	if err != nil {
		return d.leaveAlone(value, err)
	}
	before := c.entries(value)
	c.Holder = rand.Text() // two attempts of one instance are two holders
	c.Beat++
	l := &lease{claim: c, service: d, renewed: time.Now()}
	if swapped, err := d.store.SwapSettings(ctx, before, c.entries(c.text())); err != nil || !swapped {
		return err
	}
	err = l.merge(ctx)
	l.end(ctx, err)
	d.reload(ctx)
	switch {
	case retryable(err) || c.From == "":
		return err
	case err != nil:
		d.log.Warn("a merge that another instance left unfinished was refused", "from", c.From, "to", c.To, "error", err)
		return nil // its topics are free again
	}
	d.log.Warn("finished a merge that another instance left unfinished", "from", c.From, "to", c.To)
	return d.Audit(ctx, "tallycast serve", "merge", c.From+" → "+c.To, "finished what another instance left unfinished")
}

// leaveAlone reports that this instance cannot carry out the claim of that value, since
// it does not know the site or the metric for example; it logs a claim once.
func (d *Service) leaveAlone(value string, err error) error {
	d.claims.mu.Lock()
	logged := d.claims.foreign[value]
	if d.claims.foreign == nil || len(d.claims.foreign) > maxBlocks {
		d.claims.foreign = map[string]bool{}
	}
	d.claims.foreign[value] = true
	d.claims.mu.Unlock()
	if !logged {
		d.log.Error("an unfinished merge waits for an instance whose configuration knows its topics", "claim", value, "error", err)
	}
	return tally.ErrFrozen
}

// topics returns the topics of the claim; From is the zero Topic if it has none.
func (c claim) topics() (from, to tally.Topic, err error) {
	if c.From != "" {
		from, err = tally.ParseTopic(c.From)
	}
	if err == nil {
		to, err = tally.ParseTopic(c.To)
	}
	return from, to, err
}

// hold returns ctx with a deadline before which no other instance takes the claim over. It
// renews the lease first if a third of it has passed.
func (l *lease) hold(ctx context.Context) (context.Context, context.CancelFunc, error) {
	// The monotonic clock stands still while the machine sleeps, the wall clock does not.
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

// end removes the claim, or gives it up to another instance if the merge is not finished.
func (l *lease) end(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepWithin)
	defer cancel()
	next := ""
	if retryable(err) {
		left := l.claim
		left.Holder = ""
		left.Beat++
		next = left.text()
	}
	// If this fails, others take the claim over when it was not renewed for a lease.
	_, _ = l.service.store.SwapSettings(ctx, l.entries(l.text()), l.entries(next))
}

// retryable reports whether a merge that ended with err has to be carried on.
func retryable(err error) bool {
	return err != nil && tally.AsError(err).Code == tally.CodeStoreUnavailable
}

// resumeAbandoned finishes what other instances left unfinished, until ctx ends.
func (d *Service) resumeAbandoned(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case values := <-d.abandonedClaims:
			for _, value := range values {
				// What failed is met again when the settings are read next.
				_ = d.resume(ctx, value)
			}
		}
	}
}
