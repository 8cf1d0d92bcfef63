package redisstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// A prefetch reads topics of a far node while their SUBSCRIBE is on the way, so that the first
// number of a page takes one round trip. The two commands use different connections, so the node
// may execute them in either order. The read is used only if the node executed SUBSCRIBE first.
// Otherwise a change between them would be missed.
//
// The order is known from the connection of the subscription, on which Redis writes everything
// in the order of execution. The script that reads also publishes a message to the instance's
// own channel, the marker. If the confirmation of a topic arrives before the marker, the topic
// was read after it was subscribed. If the marker arrives first, or does not arrive, the topic
// is read again after the confirmation, as for a near node.
//
// In a Cluster topics are read without a script, and there are no prefetches.

const (
	// maxPrefetches bounds the prefetches in flight. With so many a topic waits for at most an
	// eighth of the round trip.
	maxPrefetches = 8
	// prefetchMark distinguishes markers from the messages of probes.
	prefetchMark = "read "
)

// prefetch is one read and the topics of one SUBSCRIBE.
type prefetch struct {
	number  string
	marker  marker
	watches []watch
	// decided receives, for each watch, whether it was confirmed before the marker arrived.
	decided chan []bool
}

// prefetches are the prefetches of a session.
type prefetches struct {
	running sync.WaitGroup
	ended   chan struct{} // holds a token after a prefetch ended

	mu sync.Mutex
	// Guarded by mu.
	last     uint64               // number of the last one
	inFlight int                  // number of those that the node has not answered
	byNumber map[string]*prefetch // those that still wait for their marker
}

// awaitPrefetches waits until another prefetch may begin. It returns false if the session ends.
func (e *session) awaitPrefetches() bool {
	for e.ctx.Err() == nil && !e.hasRoom() {
		select {
		case <-e.ctx.Done():
		case <-e.prefetches.ended:
		}
	}
	return e.ctx.Err() == nil
}

// hasRoom reports whether another prefetch has an open connection. Connections are opened as
// for likes, see [Store.Window].
func (e *session) hasRoom() bool {
	e.prefetches.mu.Lock()
	inFlight := e.prefetches.inFlight
	e.prefetches.mu.Unlock()
	switch inFlight {
	case 0:
		return true
	case 1:
		return e.node.Connections(fewCalls) > inFlight
	}
	return e.node.Connections(maxPrefetches) > inFlight
}

// newPrefetch returns a prefetch of topics whose SUBSCRIBE is sent next. It returns nil if there are
// none, or if the node is near, as a replica is.
func (e *session) newPrefetch(topics []tally.Topic) *prefetch {
	if len(topics) == 0 || e.node.replica != nil || !e.node.IsFar() || e.store.topology.IsCluster() {
		return nil
	}
	all := &e.prefetches
	all.mu.Lock()
	defer all.mu.Unlock()
	all.last++
	all.inFlight++
	number := strconv.FormatUint(all.last, 10)
	p := &prefetch{
		number:  number,
		marker:  marker{e.store.names.probe(e.store.instance), e.nonce + prefetchMark + number},
		watches: e.feed.beginPrefetch(topics),
		decided: make(chan []bool, 1),
	}
	all.byNumber[number] = p
	return p
}

// startPrefetch reads the topics of p, and settles those that were confirmed before. It also
// causes the probe after the first watch: p comes first, because after a pause there is one
// open connection. p may be nil.
func (e *session) startPrefetch(p *prefetch) {
	isFirst := e.feed.takeFirst()
	if p == nil {
		if isFirst {
			notify(e.node.probePace().soon)
		}
		return
	}
	e.prefetches.running.Go(func() { // ends with the session's context, or within Options.Timeout and maxSilence
		ctx, cancel := context.WithTimeout(e.ctx, e.store.options.Timeout)
		defer cancel()
		readings := e.readWatches(ctx, e.store.reader, p.watches, p.marker)
		e.prefetches.end()
		if isFirst {
			notify(e.node.probePace().soon)
		}
		if err := e.settlePrefetch(p, readings); err != nil {
			e.fail(err)
		}
	})
}

// end records that the node answered a prefetch.
func (all *prefetches) end() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.inFlight--
	notify(all.ended)
}

// take returns an undecided prefetch, once; nil if it is decided.
func (all *prefetches) take(number string) *prefetch {
	all.mu.Lock()
	defer all.mu.Unlock()
	p := all.byNumber[number]
	delete(all.byNumber, number)
	return p
}

// decide decides the prefetch of a marker that arrived. The goroutine that receives the
// confirmations calls it.
func (all *prefetches) decide(f *feed, number string) {
	if p := all.take(number); p != nil {
		p.decided <- f.endPrefetch(p.watches, true)
	}
}

// settlePrefetch waits for the marker of p, and settles the topics that were confirmed before.
func (e *session) settlePrefetch(p *prefetch, readings []tally.Reading) error {
	for _, r := range readings {
		if r.Err != nil && !isTopicError(r.Err) {
			return r.Err // no marker was published
		}
	}
	timer := time.NewTimer(maxSilence)
	defer timer.Stop()
	var confirmed []bool
	select {
	case confirmed = <-p.decided:
	case <-e.ctx.Done():
		return nil
	case <-timer.C:
		if e.prefetches.take(p.number) != nil {
			e.feed.endPrefetch(p.watches, false)
			return nil
		}
		confirmed = <-p.decided
	}
	var watches []watch
	var read []tally.Reading
	for i := range confirmed {
		if confirmed[i] {
			watches, read = append(watches, p.watches[i]), append(read, readings[i])
		}
	}
	ctx, cancel := context.WithTimeout(e.ctx, e.store.options.Timeout)
	defer cancel()
	if _, err := e.settleReadings(ctx, watches, read); err != nil {
		return err
	}
	e.feed.setSettled(watches)
	return nil
}

// beginPrefetch returns the watches of topics whose SUBSCRIBE is sent next. Their confirmations
// do not queue them to be settled until the prefetch is decided.
func (f *feed) beginPrefetch(topics []tally.Topic) []watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	var watches []watch
	for _, topic := range topics {
		// While an earlier command is on the way, the next confirmation belongs to that one.
		if t := f.topics[topic.String()]; t != nil && t.pending == 1 {
			t.set(prefetched)
			watches = append(watches, watch{t.topic, t.number})
		}
	}
	return watches
}

// endPrefetch reports which watches were confirmed before the marker, if one arrived. The others
// are settled after their confirmation.
func (f *feed) endPrefetch(watches []watch, isMarked bool) (confirmed []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	confirmed = make([]bool, len(watches))
	for i, w := range watches {
		t := f.topics[w.topic.String()]
		if t == nil || !t.is(prefetched) {
			continue
		}
		t.unset(prefetched)
		confirmed[i] = isMarked && t.is(wanted) && t.number == w.number && t.pending == 0
		if !confirmed[i] {
			f.settleLocked(t)
		}
	}
	return confirmed
}
