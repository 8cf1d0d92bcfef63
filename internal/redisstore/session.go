package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
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

var errBroken = errors.New("the subscription's connection broke")

// session is one subscription connection and the goroutines around it, from the
// first check to the first doubt. What comes after it is a new session on a new
// connection: nothing of an old one is ever mended.
type session struct {
	store    *Store
	sink     tally.Sink
	received func(payload []byte)

	ctx    context.Context
	cancel context.CancelCauseFunc
	pubsub *redis.PubSub

	heard    atomic.Int64  // when the last probe came back, nanoseconds since begun
	begun    time.Time     // when the session began
	warnings []string      // of the check at its beginning
	controls chan struct{} // receives once for each control channel confirmed
	nonce    string        // prefix of this session's probes
}

// Run implements [tally.Feed]. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context, sink tally.Sink, received func(payload []byte)) error {
	var around sync.WaitGroup // all end with ctx
	for _, work := range []func(context.Context){s.rankAll, s.repair, s.gossip} {
		around.Go(func() { work(ctx) })
	}
	defer around.Wait()
	pause := firstPause
	for ctx.Err() == nil {
		wasLive, err := s.follow(ctx, sink, received)
		if ctx.Err() != nil {
			break
		}
		s.status.bad(explain(err))
		if wasLive {
			pause = firstPause
			s.stats.reconnects.Add(1)
		}
		if !sleep(ctx, jitter(pause)) {
			break
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

// follow runs one session and returns why it ended, and whether it had been live.
func (s *Store) follow(ctx context.Context, sink tally.Sink, received func([]byte)) (wasLive bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := &session{
		store: s, sink: sink, received: received, ctx: ctx, cancel: cancel,
		controls: make(chan struct{}, 3), nonce: randomHex(4),
	}
	if n.warnings, err = s.check(ctx); err != nil {
		n.stale()
		return false, err
	}
	client := s.subscriber()
	defer client.Close()
	n.pubsub = client.Subscribe(ctx) // connects with the first channel
	// The third has the form of a topic's channel: it shows that those are allowed.
	_, _, channel := s.names.scratch(s.instance)
	if err := n.pubsub.Subscribe(ctx, s.names.gossip(), s.names.probe(s.instance), channel); err != nil {
		n.stale()
		return false, fmt.Errorf("subscribe: %w", err)
	}
	n.begun = time.Now()
	s.feed.begin()
	var parts sync.WaitGroup // all end with the session's context
	for _, part := range []func() error{n.receive, n.subscribe, n.settle, n.probe, n.sweep} {
		parts.Go(func() {
			if err := part(); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	wasLive = n.stale()
	_ = n.pubsub.Close() // ends receive
	parts.Wait()
	s.feed.end()
	return wasLive, context.Cause(ctx)
}

// stale tells the sink that changes may be missed, unless it knows.
func (n *session) stale() (wasLive bool) {
	tell, wasLive := n.store.feed.becomeStale()
	if tell {
		n.sink.Stale()
	}
	return wasLive
}

// subscriber returns a client for one subscription. It connects once: go-redis
// would otherwise reconnect by itself, and subscribe to everything, at a moment
// that is not ours.
func (s *Store) subscriber() *redis.Client {
	settings := *s.settings
	var used atomic.Bool
	dial := redis.NewDialer(&settings)
	settings.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errBroken
		}
		return dial(ctx, network, address)
	}
	return redis.NewClient(&settings)
}

// receive hands on what Redis sends, until the connection is closed.
func (n *session) receive() error {
	s := n.store
	for {
		message, err := n.pubsub.Receive(n.ctx)
		if err != nil {
			if n.ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("SUBSCRIBE to %s*: %w", s.names.prefix, err)
		}
		switch m := message.(type) {
		case *redis.Subscription:
			n.confirmed(m.Channel)
		case *redis.Message:
			n.message(m)
		}
	}
}

func (n *session) confirmed(channel string) {
	names := n.store.names
	_, _, scratch := names.scratch(n.store.instance)
	if text, ok := names.channelTopic(channel); ok && channel != scratch {
		n.store.feed.confirm(text)
		return
	}
	n.controls <- struct{}{} // holds all three
}

func (n *session) message(m *redis.Message) {
	s := n.store
	text, ok := s.names.channelTopic(m.Channel)
	if !ok {
		n.control(m)
		return
	}
	topic, ok := s.feed.followedTopic(text)
	if !ok {
		return // unwatched meanwhile
	}
	change, err := tally.ParseFrame(topic, []byte(m.Payload))
	if err != nil {
		s.stats.payloadsUnreadable.Add(1)
		return
	}
	n.sink.Push(change)
}

// subscribe follows and leaves topics as they are watched and unwatched.
func (n *session) subscribe() error {
	s := n.store
	for range cap(n.controls) {
		select {
		case <-n.ctx.Done():
			return nil
		case <-n.controls:
		}
	}
	s.status.good(n.warnings)
	for {
		begin, end := s.feed.takeDirty(subscribeChunk)
		if len(begin)+len(end) == 0 {
			select {
			case <-n.ctx.Done():
				return nil
			case <-s.feed.changed:
			}
			continue
		}
		if err := n.send(n.pubsub.Subscribe, begin); err != nil {
			return err
		}
		if err := n.send(n.pubsub.Unsubscribe, end); err != nil {
			return err
		}
	}
}

func (n *session) send(command func(context.Context, ...string) error, topics []tally.Topic) error {
	if len(topics) == 0 {
		return nil
	}
	channels := make([]string, len(topics))
	for i, topic := range topics {
		channels[i] = n.store.names.channel(topic)
	}
	if err := command(n.ctx, channels...); err != nil && n.ctx.Err() == nil {
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
