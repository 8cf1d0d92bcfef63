package sqlitestore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// versionRetention is how long the version of a topic without readers is kept, so that a
// page which reads it does not see it fall to 0. Reissue corrects pages that watch longer.
const versionRetention = 10 * time.Minute

// presence keeps the number of pages that this process holds present on each topic, in
// memory: the connections end with the process.
type presence struct {
	// Fixed after construction.
	now  func() time.Time // the store's clock, for versions
	feed *feed
	wake chan struct{} // holds one if nextExpiry became earlier

	// mu guards the fields below. Changes are published under it, in the order of their
	// versions; publishing does not block.
	mu         sync.Mutex
	shares     map[tally.Topic]*share
	highest    int64     // the highest version given to any topic
	nextExpiry time.Time // when expire runs next; zero if no share exists
}

// share is this process's share of a topic. Leases use the monotonic clock.
type share struct {
	pages   int64
	version int64
	ends    time.Time // the lease or, if pages is 0, the retention of the version
}

func newPresence(now func() time.Time, feed *feed) *presence {
	return &presence{
		now:    now,
		feed:   feed,
		wake:   make(chan struct{}, 1),
		shares: map[tally.Topic]*share{},
	}
}

// SetShares implements [tally.PresenceStore].
func (s *Store) SetShares(ctx context.Context, ttl time.Duration, shares []tally.Share) error {
	if err := cmp.Or(s.conflict, ctx.Err()); err != nil {
		return s.unavailable("set presence in", err)
	}
	for _, set := range shares {
		if s.catalog.Rule(set.Topic).Kind != tally.Presence {
			return tally.Errorf(tally.CodeInternal, "%s does not count open pages", set.Topic)
		}
	}
	s.presence.set(ttl, shares)
	return nil
}

func (p *presence) set(ttl time.Duration, shares []tally.Share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, set := range shares {
		sh := p.shares[set.Topic]
		if sh == nil {
			if set.Pages <= 0 {
				continue
			}
			sh = &share{}
			p.shares[set.Topic] = sh
		}
		p.setLocked(set.Topic, sh, max(0, set.Pages), now)
		if sh.pages > 0 {
			sh.ends = now.Add(ttl)
		}
		p.scheduleLocked(sh.ends)
	}
}

// setLocked sets a share and publishes it if it changed.
func (p *presence) setLocked(topic tally.Topic, sh *share, pages int64, now time.Time) {
	if sh.pages == pages {
		return
	}
	sh.pages = pages
	if pages == 0 {
		sh.ends = now.Add(versionRetention)
	}
	p.issueLocked(topic, sh)
}

// issueLocked publishes topic under a new version.
func (p *presence) issueLocked(topic tally.Topic, sh *share) {
	// One sequence for all topics, so that forgotten topics continue above their versions.
	p.highest = tally.NextVersion(p.highest, p.now().UnixMicro())
	sh.version = p.highest
	p.feed.publish(tally.Change{Topic: topic, Count: sh.pages, Version: sh.version})
}

// scheduleLocked makes expire run at end or earlier.
func (p *presence) scheduleLocked(end time.Time) {
	if p.nextExpiry.IsZero() || end.Before(p.nextExpiry) {
		p.nextExpiry = end
		notify(p.wake)
	}
}

// expireLocked ends the lease or the retention of a share if it is over. It reports whether
// the share still exists.
func (p *presence) expireLocked(topic tally.Topic, sh *share, now time.Time) bool {
	if now.Before(sh.ends) {
		return true
	}
	if sh.pages > 0 {
		p.setLocked(topic, sh, 0, now)
		return true
	}
	delete(p.shares, topic)
	return false
}

// read returns the number of pages that are present on topic.
func (p *presence) read(topic tally.Topic) tally.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	sh := p.shares[topic]
	if sh == nil || !p.expireLocked(topic, sh, time.Now()) {
		return tally.Change{Topic: topic}
	}
	return tally.Change{Topic: topic, Count: sh.pages, Version: sh.version}
}

// reissue implements [tally.Reissuer] for one topic.
func (p *presence) reissue(held tally.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	sh := p.shares[held.Topic]
	if sh == nil || !p.expireLocked(held.Topic, sh, now) {
		sh = &share{ends: now.Add(versionRetention)}
	}
	if !isBehind(tally.Change{Topic: held.Topic, Count: sh.pages, Version: sh.version}, held) {
		return
	}
	p.shares[held.Topic] = sh
	p.highest = max(p.highest, held.Version)
	p.issueLocked(held.Topic, sh)
	p.scheduleLocked(sh.ends)
}

// top returns the topics of a metric with the most pages.
func (p *presence) top(site, metric string, limit int) []tally.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var changes []tally.Change
	for topic, sh := range p.shares {
		if topic.Site() == site && topic.Metric() == metric && p.expireLocked(topic, sh, now) && sh.pages > 0 {
			changes = append(changes, tally.Change{Topic: topic, Count: sh.pages, Version: sh.version})
		}
	}
	slices.SortFunc(changes, func(a, b tally.Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Topic.String(), b.Topic.String()))
	})
	return changes[:min(max(0, limit), len(changes))]
}

// expire publishes the ends of leases in time, until ctx ends.
func (p *presence) expire(ctx context.Context) {
	timer := time.NewTimer(p.expireDue())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		timer.Reset(p.expireDue())
	}
}

// expireDue ends what is over by now, and returns the time until its next run.
func (p *presence) expireDue() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.nextExpiry.IsZero() || now.Before(p.nextExpiry) {
		return p.untilNextLocked(now)
	}
	p.nextExpiry = time.Time{}
	for topic, sh := range p.shares {
		if p.expireLocked(topic, sh, now) && (p.nextExpiry.IsZero() || sh.ends.Before(p.nextExpiry)) {
			p.nextExpiry = sh.ends
		}
	}
	return p.untilNextLocked(now)
}

// untilNextLocked returns the time until the next run, or an hour if nothing is scheduled.
func (p *presence) untilNextLocked(now time.Time) time.Duration {
	if p.nextExpiry.IsZero() {
		return time.Hour
	}
	return p.nextExpiry.Sub(now)
}
