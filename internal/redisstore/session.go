package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// Pauses between attempts to reach a store that is away: the first, and the
	// longest, which bounds how late its return is noticed. Both are spread at
	// random over half their length, so that instances do not come all at once.
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second

	// subscribeChunk is how many channels one SUBSCRIBE names, and how many may be
	// unconfirmed, so that confirmations never fill Redis's output buffer.
	subscribeChunk = 500
)

// session is one subscription connection to a node and the goroutines around it,
// from the first check to the first doubt. What comes after it is a new session on a
// new connection: nothing of an old one is ever mended.
type session struct {
	store    *Store
	node     *node
	feed     *feed // the node's
	sink     tally.Sink
	received func(payload []byte)

	ctx    context.Context
	pubsub *redis.PubSub

	probeResult   atomic.Pointer[error] // of the last probe, see failing
	probePassed   chan struct{}         // holds a token after a probe that did not fail
	lastEcho      atomic.Int64          // when the last probe came back, nanoseconds since begun
	begun         time.Time             // when the session began
	warnings      []string              // of the check at its beginning
	scratch       string                // a channel that has the form of a topic's
	confirmations chan struct{}         // receives once for each control channel confirmed
	established   chan struct{}         // closed when all of them are
	nonce         string                // prefix of this session's probes
}

// follow runs one session after the other until ctx ends.
func (n *node) follow(ctx context.Context, sink tally.Sink, received func(payload []byte)) {
	s := n.store
	pause := firstPause
	for ctx.Err() == nil {
		wasLive := n.runSession(ctx, sink, received)
		if ctx.Err() != nil {
			return
		}
		if wasLive {
			pause = firstPause
			s.stats.reconnects.Add(1)
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// runSession runs one session, and tells whether it had been live when it ended.
func (n *node) runSession(parent context.Context, sink tally.Sink, received func([]byte)) (wasLive bool) {
	s := n.store
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	e := &session{
		store: s, node: n, feed: n.feed, sink: sink, received: received, ctx: ctx,
		confirmations: make(chan struct{}, 3), established: make(chan struct{}), probePassed: make(chan struct{}, 1), nonce: randomHex(4),
	}
	// Whoever hears that numbers are stale finds the reason in Health.
	ended := func(err error) bool {
		if parent.Err() == nil {
			n.status.setFailed(n.explain(err))
			s.topology.RefreshSoon()
		}
		return e.reportStale()
	}
	var err error
	if e.warnings, err = n.check(ctx); err != nil {
		return ended(err)
	}
	client := n.NewSubscriber()
	defer client.Close()
	e.pubsub = client.Subscribe(ctx) // connects with the first channel
	// The third has the form of a topic's channel: it shows that those are allowed.
	e.scratch = s.names.scratch(s.instance, 0).channel
	if err := e.pubsub.Subscribe(ctx, s.names.broadcast(), s.names.probe(s.instance), e.scratch); err != nil {
		return ended(fmt.Errorf("subscribe: %w", err))
	}
	e.begun = time.Now()
	n.feed.begin()
	var parts sync.WaitGroup // all end with the session's context
	for _, part := range []func() error{e.receive, e.subscribe, e.settle, e.probe, e.watchProbes, e.recheck, e.sweep} {
		parts.Go(func() {
			if err := part(); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	wasLive = ended(context.Cause(ctx))
	_ = e.pubsub.Close() // ends receive
	parts.Wait()
	n.feed.end()
	return wasLive
}

// reportStale says that changes of the node may be missed.
func (e *session) reportStale() (wasLive bool) {
	wasLive = e.feed.becomeStale()
	e.store.reportLive(e.sink, true)
	return wasLive
}

// reportLive says that none are missed any more.
func (e *session) reportLive() {
	e.store.reportLive(e.sink, false)
	notify(e.store.feedLive) // topics may wait to be followed here
}

// receive hands on what Redis sends, until the connection is closed.
func (e *session) receive() error {
	s := e.store
	for {
		message, err := e.pubsub.Receive(e.ctx)
		if err != nil {
			if e.ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("closed by Redis, which ended, was told to, or found this subscriber too slow for its client-output-buffer-limit: %w", err)
			}
			return fmt.Errorf("SUBSCRIBE to %s*: %w", s.names.prefix, err)
		}
		switch m := message.(type) {
		case *redis.Subscription:
			e.handleConfirmation(m.Channel)
		case *redis.Message:
			e.handleMessage(m)
		}
	}
}

func (e *session) handleConfirmation(channel string) {
	if text, ok := e.store.names.channelTopic(channel); ok && channel != e.scratch {
		e.feed.confirm(text)
		return
	}
	e.confirmations <- struct{}{} // holds all three
}

func (e *session) handleMessage(m *redis.Message) {
	s := e.store
	text, ok := s.names.channelTopic(m.Channel)
	if !ok {
		e.handleControl(m)
		return
	}
	topic, ok := e.feed.watchedTopic(text)
	if !ok {
		return // unwatched meanwhile
	}
	change, err := tally.ParseFrame(topic, []byte(m.Payload))
	if err != nil {
		s.stats.payloadsUnreadable.Add(1)
		return
	}
	e.sink.Push(change)
}

// subscribe follows and leaves topics as they are watched and unwatched.
func (e *session) subscribe() error {
	for range cap(e.confirmations) {
		select {
		case <-e.ctx.Done():
			return nil
		case <-e.confirmations:
		}
	}
	e.node.markUsable(e.warnings)
	close(e.established)
	for {
		begin, end := e.feed.takeDirty(subscribeChunk)
		if len(begin)+len(end) == 0 {
			select {
			case <-e.ctx.Done():
				return nil
			case <-e.feed.dirtyReady:
			}
			continue
		}
		if err := e.send(e.pubsub.Subscribe, begin); err != nil {
			return err
		}
		if err := e.send(e.pubsub.Unsubscribe, end); err != nil {
			return err
		}
	}
}

func (e *session) send(command func(context.Context, ...string) error, topics []tally.Topic) error {
	if len(topics) == 0 {
		return nil
	}
	channels := make([]string, len(topics))
	for i, topic := range topics {
		channels[i] = e.store.names.channel(topic)
	}
	if err := command(e.ctx, channels...); err != nil && e.ctx.Err() == nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// sleep waits for d, and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jitter returns a duration between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
