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

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// minBackoff and maxBackoff bound the pauses between sessions. The return of a node is
	// noticed within the longest. Jitter keeps instances from connecting at the same time.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second

	// subscribeChunk is how many channels one SUBSCRIBE names, and how many may be
	// unconfirmed: confirmations must not fill Redis's output buffer.
	subscribeChunk = 500
)

// session is one subscription connection to a node and its goroutines, from the first check
// to the first failure. After it comes a new session on a new connection.
type session struct {
	store    *Store
	node     *node
	feed     *feed // of the node
	sink     tally.Sink
	received func(payload []byte)

	ctx        context.Context
	subscriber *redistopology.Subscriber

	probeResult atomic.Pointer[error] // of the last probe, see probeErr
	probePassed chan struct{}         // holds a token after a successful probe
	echoes      echoes
	warnings    []string      // of the first check
	scratch     string        // a channel that is named like a topic's
	unconfirmed int           // control channels; owned by receive
	established chan struct{} // closed when all control channels are confirmed
	nonce       string        // prefix of this session's probes
	prefetches  prefetches
	fail        context.CancelCauseFunc // ends the session
}

// follow runs one session after the other until ctx ends.
func (n *node) follow(ctx context.Context, sink tally.Sink, received func(payload []byte)) {
	s := n.store
	pause := minBackoff
	for ctx.Err() == nil {
		wasLive := n.runSession(ctx, sink, received)
		if ctx.Err() != nil {
			return
		}
		if wasLive {
			pause = minBackoff
			s.stats.reconnects.Add(1)
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, maxBackoff)
	}
}

// runSession runs one session and reports whether it was live when it ended.
func (n *node) runSession(parent context.Context, sink tally.Sink, received func([]byte)) (wasLive bool) {
	s := n.store
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	e := &session{
		store: s, node: n, feed: n.feed, sink: sink, received: received, ctx: ctx,
		established: make(chan struct{}), probePassed: make(chan struct{}, 1), nonce: randomHex(4), fail: cancel,
		prefetches: prefetches{ended: make(chan struct{}, 1), byNumber: map[string]*prefetch{}},
	}
	// Health has the reason before viewers get stale.
	ended := func(err error) bool {
		if parent.Err() == nil {
			n.status.setFailed(n.explain(err))
			s.topology.RefreshSoon()
		}
		if n.replica != nil {
			n.replica.establish(false)
		} else {
			s.replica.primaryEnded()
		}
		return e.reportStale()
	}
	e.subscriber = n.NewSubscriber(e.takeChange)
	defer e.subscriber.Close()
	// The third is named like a topic's channel, to check the right to subscribe to those.
	e.scratch = s.names.scratch(s.instance, 0).channel
	control := []string{s.names.probe(s.instance), e.scratch}
	if n.replica == nil {
		control = append(control, s.names.broadcast())
	}
	e.unconfirmed = len(control)
	s.stats.commands.count("subscribe")
	subscribed := make(chan error, 1)
	go func() { subscribed <- e.subscriber.Connect(ctx, control...) }() // ends within its timeouts; awaited below
	err := e.check()
	if failed := <-subscribed; err == nil && failed != nil {
		err = fmt.Errorf("subscribe: %w", failed)
	}
	if err != nil {
		return ended(err)
	}
	e.echoes.begin()
	n.feed.reset(true)
	if n.has(s.names.seedMark()) {
		s.seeds.follow(true)
	}
	var parts sync.WaitGroup // all end with the session's context
	for _, part := range append(e.liveness(), e.receive, e.subscribe, e.settle, e.sweep) {
		parts.Go(func() {
			if err := part(); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	wasLive = ended(context.Cause(ctx))
	e.subscriber.Close() // ends receive
	parts.Wait()
	n.feed.reset(false)
	if n.has(s.names.seedMark()) {
		s.seeds.follow(false)
	}
	return wasLive
}

// check checks the node while the session subscribes.
func (e *session) check() (err error) {
	if n := e.node; n.replica != nil {
		_, err = n.runProbe(e.ctx, "", n.verifyParts())
	} else {
		e.warnings, err = n.checkAgain(e.ctx)
	}
	return err
}

// liveness returns the parts of the session that notice when changes do not arrive.
func (e *session) liveness() []func() error {
	if e.node.replica != nil {
		return []func() error{e.followPrimary}
	}
	return []func() error{e.probe, e.watchProbes, e.recheck}
}

// reportStale reports that changes of the node may be missed.
func (e *session) reportStale() (wasLive bool) {
	wasLive = e.feed.becomeStale()
	e.store.reportLive(e.sink, true)
	return wasLive
}

// reportLive reports that no changes of the node are missed.
func (e *session) reportLive() {
	e.store.reportLive(e.sink, false)
	notify(e.store.feedLive) // topics may wait to be reassigned to this node
}

// receive handles the messages that Redis sends, until the connection is closed.
func (e *session) receive() error {
	s := e.store
	for {
		message, err := e.subscriber.Receive(e.ctx)
		if err != nil {
			if e.ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("the connection was closed: Redis stopped, a command closed it, or this subscriber exceeded client-output-buffer-limit: %w", err)
			}
			return fmt.Errorf("SUBSCRIBE to %s*: %w", s.names.prefix, err)
		}
		switch m := message.(type) {
		case *redis.Subscription:
			e.handleConfirmation(m.Channel)
		case *redis.Message:
			// If the stream is not understood, go-redis returns changes too.
			if !e.takeChange([]byte(m.Channel), []byte(m.Payload)) {
				e.handleControl(m)
			}
		}
	}
}

func (e *session) handleConfirmation(channel string) {
	if text, ok := e.store.names.channelTopic(channel); ok && channel != e.scratch {
		e.feed.confirm(text)
		return
	}
	if e.unconfirmed--; e.unconfirmed == 0 {
		if e.node.replica == nil {
			e.node.markUsable(e.warnings)
			notify(e.store.feedLive) // the replica may be followed from now on
		}
		close(e.established)
	}
}

// takeChange passes a message to the sink if it is on the channel of a topic.
func (e *session) takeChange(channel, payload []byte) bool {
	s := e.store
	text, ok := s.names.channelTopic(string(channel))
	if !ok {
		return false
	}
	topic, ok := e.feed.watchedTopic(text)
	if !ok {
		return true // it was unwatched
	}
	change, err := tally.ParseFrame(topic, payload)
	if err != nil {
		s.stats.payloadsUnreadable.Add(1)
		return true
	}
	e.node.probePace().addChange()
	e.sink.Push(change)
	return true
}

// subscribe subscribes and unsubscribes topics as they are watched and unwatched. If the node
// is far, it also starts to read the topics.
func (e *session) subscribe() error {
	defer e.prefetches.running.Wait()
	select {
	case <-e.ctx.Done():
		return nil
	case <-e.established:
	}
	for e.awaitPrefetches() {
		subscribe, unsubscribe := e.feed.takeDirty(subscribeChunk)
		if len(subscribe)+len(unsubscribe) == 0 {
			select {
			case <-e.ctx.Done():
				return nil
			case <-e.feed.dirtyReady:
			}
			continue
		}
		p := e.newPrefetch(subscribe)
		if err := e.sendCommand("subscribe", subscribe); err != nil {
			return err
		}
		e.startPrefetch(p)
		if err := e.sendCommand("unsubscribe", unsubscribe); err != nil {
			return err
		}
	}
	return nil
}

func (e *session) sendCommand(name string, topics []tally.Topic) error {
	if len(topics) == 0 {
		return nil
	}
	channels := make([]string, len(topics))
	for i, topic := range topics {
		channels[i] = e.store.names.channel(topic)
	}
	e.store.stats.commands.count(name)
	if err := e.subscriber.Send(name, channels); err != nil && e.ctx.Err() == nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// every calls work at once and after each interval, until it fails or ctx ends.
func every(ctx context.Context, interval time.Duration, work func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := work(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sleep waits for d, and reports whether ctx has not ended.
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
