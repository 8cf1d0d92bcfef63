package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
)

const (
	// probeEvery is how often an instance publishes a message to itself, on the way
	// that writes take.
	probeEvery = time.Second
	// probeWithin is how long that may take.
	probeWithin = 2 * time.Second
	// replicaTimeout is how long replicas may take to confirm its write.
	replicaTimeout = 1100 * time.Millisecond
	// maxSilence is how long nothing may come back. Subscriptions can die while Redis is
	// well: that the truth is shown within 5 s has to hold from the moment they do.
	maxSilence = 3500 * time.Millisecond
	// broadcastWithin is how long a broadcast may take; after it, it is old news.
	broadcastWithin = time.Second
	// broadcastChunk is how many go in one pipeline.
	broadcastChunk = 64
)

var (
	errSilence = errors.New("what is published does not come back")
	// Redis may send on what was subscribed before, and not hear what is to be.
	errUnconfirmed = errors.New("SUBSCRIBE is not answered")
)

// probe publishes to this instance at the node. On the way it looks at the node's clock,
// offers the secret again, in case that Redis forgot it, and tries to write.
func (e *session) probe() error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for count := int64(0); ; count++ {
		err := e.probeOnce(count)
		e.probeResult.Store(&err)
		var conflict *conflictError
		if errors.As(err, &conflict) {
			return err
		}
		if err == nil {
			notify(e.probePassed)
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watchProbes waits until what is published does not come back, or a SUBSCRIBE is not confirmed,
// for as long as silence.
func (e *session) watchProbes() error {
	watch := time.NewTicker(maxSilence / 20)
	defer watch.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return nil
		case <-watch.C:
		}
		if e.feed.unconfirmed() > maxSilence {
			return errUnconfirmed
		}
		if time.Since(e.begun)-time.Duration(e.lastEcho.Load()) > maxSilence {
			e.store.stats.probesLost.Add(1)
			if err := e.probeErr(); err != nil {
				return err
			}
			select {
			case <-e.established:
				return errSilence
			default:
				return errUnconfirmed
			}
		}
	}
}

// recheck checks the node again when something was refused though it seemed well, or a
// probe passed though it did not: it may be mended; if not, this names what is missing.
// That takes many round trips, for which no probe waits. A node whose subscription does
// not stand is not well, whatever else it does.
func (e *session) recheck() error {
	select {
	case <-e.ctx.Done():
		return nil
	case <-e.established:
	}
	for {
		select {
		case <-e.ctx.Done():
			return nil
		case <-e.node.checkRequested:
			if e.node.status.health().Err != nil {
				continue // the next probe that passes has it checked
			}
		case <-e.probePassed:
			if h := e.node.status.health(); h.Err == nil && h.Conflict == nil || e.probeErr() != nil {
				continue
			}
		}
		warnings, err := e.node.check(e.ctx)
		if e.ctx.Err() != nil {
			return nil // why is known; that a check was broken off is not
		}
		_ = e.node.recordCheck(warnings, err)
	}
}

// probeErr returns why the last probe failed, nil where it did not.
func (e *session) probeErr() error {
	if err := e.probeResult.Load(); err != nil {
		return *err
	}
	return nil
}

func (e *session) probeOnce(count int64) error {
	s, n := e.store, e.node
	ctx, cancel := context.WithTimeout(e.ctx, probeWithin)
	defer cancel()
	pipe := n.Client.Pipeline()
	sent := time.Now()
	clock := pipe.Time(ctx)
	greeted := s.appendVerify(ctx, pipe)
	nonce := e.nonce + strconv.FormatInt(count, 10)
	published := pipe.Publish(ctx, s.names.probe(s.instance), nonce)
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	received := time.Now()
	if server, err := clock.Result(); err == nil {
		n.AddClockSample(server, sent, received)
		n.status.addRoundTrip(received.Sub(sent))
	}
	err := greeted()
	if err == nil {
		err = published.Err()
	}
	if err == nil {
		err = n.tryWrite(ctx)
	}
	if err != nil && e.ctx.Err() == nil {
		s.topology.Suspect(err)
		err = fmt.Errorf("probe: %w", err)
		n.status.setFailed(n.explain(err))
		return err
	}
	return nil
}

// tryWrite writes to a slot of the node and waits for the replicas, as likes do: so the
// instance knows that the node takes no writes before it refuses a like, and when that is
// over.
func (n *node) tryWrite(ctx context.Context) error {
	key := n.scratch().probe
	if key == "" {
		return nil // it holds no slots
	}
	pipe := n.Client.Pipeline()
	set := pipe.Set(ctx, key, "", time.Minute) // the key ends with the instance
	waitCtx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	confirmed := n.AppendWait(waitCtx, pipe)
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	if err := set.Err(); err != nil {
		n.store.topology.Suspect(err)
		if redistopology.IsRedirect(err) {
			return nil // the slot moved just now
		}
		return fmt.Errorf("try to write: %w", err)
	}
	return confirmed()
}

// handleControl handles a message on one of the instance's own channels.
func (e *session) handleControl(m *redis.Message) {
	s := e.store
	if m.Channel == s.names.probe(s.instance) {
		if strings.HasPrefix(m.Payload, e.nonce) {
			e.lastEcho.Store(int64(time.Since(e.begun)))
		}
		return
	}
	// Every node relays it; the one where it is published counts.
	if m.Channel != s.names.broadcast() || s.topology.SlotMap().Node(m.Channel) != e.node.Node {
		return
	}
	if from, payload, ok := strings.Cut(m.Payload, " "); ok && from != s.instance {
		s.receiving.Lock()
		defer s.receiving.Unlock()
		e.received([]byte(payload))
	}
}

// Broadcast implements [tally.Feed]. When the queue is full the newest is dropped.
func (s *Store) Broadcast(payload []byte) {
	message := make([]byte, 0, len(s.instance)+1+len(payload))
	message = append(append(append(message, s.instance...), ' '), payload...)
	select {
	case s.broadcasts <- message:
	default:
		s.stats.broadcastsDropped.Add(1)
	}
}

// sendBroadcasts publishes what was broadcast, until ctx ends.
func (s *Store) sendBroadcasts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-s.broadcasts:
			s.publishBroadcasts(ctx, message)
		}
	}
}

// flushBroadcasts publishes what is still queued, for a store that closes: commands that
// change settings do not run long enough for gossip.
func (s *Store) flushBroadcasts() {
	for {
		select {
		case message := <-s.broadcasts:
			s.publishBroadcasts(context.Background(), message)
		default:
			return
		}
	}
}

// publishBroadcasts publishes a message and those that wait behind it.
func (s *Store) publishBroadcasts(ctx context.Context, message []byte) {
	ctx, cancel := context.WithTimeout(ctx, broadcastWithin)
	defer cancel()
	n := s.topology.SlotMap().Node(s.names.broadcast())
	if n == nil {
		s.stats.broadcastsDropped.Add(1)
		return
	}
	pipe := n.Client.Pipeline()
	for {
		pipe.Publish(ctx, s.names.broadcast(), message)
		if pipe.Len() == broadcastChunk {
			break
		}
		select {
		case message = <-s.broadcasts:
			continue
		default:
		}
		break
	}
	sent := pipe.Len()
	if err := redistopology.Exec(ctx, pipe); err != nil {
		s.stats.broadcastsDropped.Add(int64(sent))
	}
}
