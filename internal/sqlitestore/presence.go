package sqlitestore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// versionRetention is how long the version of a topic without pages is kept, so that the
// version does not fall to 0 for a client that reads the topic. After that time, Reissue
// corrects viewers that still watch the topic.
const versionRetention = 10 * time.Minute

// presence has the number of pages that are present on each topic. It is in memory, since the
// connections end with the process.
type presence struct {
	// Fixed after construction.
	now  func() time.Time // the store's clock, for versions
	feed *feed

	// mu guards the fields below. Changes are published under it, in the order of their
	// versions; publishing does not block.
	mu      sync.Mutex
	shares  map[tally.Topic]*share
	highest int64 // the highest version of any topic until now
	// pendingPeaks are the peaks that are not stored yet.
	pendingPeaks map[peakKey]pendingPeak
}

// share is this process's share of a topic.
type share struct {
	pages   int64
	version int64
	end     time.Time   // of the TTL of the share or, if pages is 0, of versionRetention
	timer   *time.Timer // calls expire at end
	peaks   [2]peak     // of each of periods
	// isLasting is true if the topic was present in two hours, so that its peaks are stored.
	isLasting bool
}

func newPresence(now func() time.Time, feed *feed) *presence {
	return &presence{now: now, feed: feed, shares: map[tally.Topic]*share{}, pendingPeaks: map[peakKey]pendingPeak{}}
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
	if s.historyRetention > 0 && s.presence.raisePeaks(shares, s.now()) {
		notify(s.sweeps) // the sweep stores them, so that readers do not wait for the writer
	}
	return nil
}

func (p *presence) set(ttl time.Duration, shares []tally.Share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, set := range shares {
		sh := p.shares[set.Topic]
		if sh == nil && set.Pages > 0 {
			sh = &share{}
			p.shares[set.Topic] = sh
		}
		switch {
		case set.Pages > 0:
			p.keepLocked(set.Topic, sh, ttl)
			p.setLocked(set.Topic, sh, set.Pages)
		case sh != nil:
			p.endLocked(set.Topic, sh)
		}
	}
}

// setLocked sets a share and publishes it if it changed.
func (p *presence) setLocked(topic tally.Topic, sh *share, pages int64) {
	if sh.pages != pages {
		sh.pages = pages
		p.issueLocked(topic, sh)
	}
}

// endLocked sets a share to 0, and begins the retention of its version.
func (p *presence) endLocked(topic tally.Topic, sh *share) {
	if sh.pages > 0 {
		p.keepLocked(topic, sh, versionRetention)
		p.setLocked(topic, sh, 0)
	}
}

// issueLocked publishes topic under a new version.
func (p *presence) issueLocked(topic tally.Topic, sh *share) {
	// There is one sequence for all topics, so that a forgotten topic, if it comes back, gets a
	// higher version than before.
	p.highest = tally.NextVersion(p.highest, p.now().UnixMicro())
	sh.version = p.highest
	p.feed.publish(sh.change(topic))
}

// change returns the state of topic.
func (sh *share) change(topic tally.Topic) tally.Change {
	return tally.Change{Topic: topic, Count: sh.pages, Version: sh.version}
}

// keepLocked makes expire run after d.
func (p *presence) keepLocked(topic tally.Topic, sh *share, d time.Duration) {
	sh.end = time.Now().Add(d)
	if sh.timer == nil {
		sh.timer = time.AfterFunc(d, func() { p.expire(topic, sh) })
	} else {
		sh.timer.Reset(d)
	}
}

// expire ends a share, or the retention of its version, unless it was renewed since.
func (p *presence) expire(topic tally.Topic, sh *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case time.Now().Before(sh.end):
	case sh.pages > 0:
		p.endLocked(topic, sh)
	default:
		delete(p.shares, topic)
	}
}

// read returns the number of pages that are present on topic.
func (p *presence) read(topic tally.Topic) tally.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sh := p.shares[topic]; sh != nil {
		return sh.change(topic)
	}
	return tally.Change{Topic: topic}
}

// reissue implements [tally.Store] for one topic.
func (p *presence) reissue(held tally.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sh := p.shares[held.Topic]
	if sh == nil {
		sh = &share{}
	}
	if !isBehind(sh.change(held.Topic), held) {
		return
	}
	if sh.timer == nil {
		p.shares[held.Topic] = sh
		p.keepLocked(held.Topic, sh, versionRetention)
	}
	p.highest = max(p.highest, held.Version)
	p.issueLocked(held.Topic, sh)
}

// top returns the topics of a metric with the most pages.
func (p *presence) top(site, metric string, limit int) []tally.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var changes []tally.Change
	for topic, sh := range p.shares {
		if topic.Site() == site && topic.Metric() == metric && sh.pages > 0 {
			changes = append(changes, sh.change(topic))
		}
	}
	slices.SortFunc(changes, func(a, b tally.Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.Topic.Compare(b.Topic))
	})
	return changes[:min(max(0, limit), len(changes))]
}
