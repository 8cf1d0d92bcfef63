package redisstore

import (
	"cmp"
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
	// probeInterval is how often an instance publishes a message to itself, over the
	// connections that writes use, and probeTimeout how long that may take.
	probeInterval = time.Second
	probeTimeout  = 2 * time.Second
	// replicaTimeout is how long replicas may take to confirm a probe's write.
	replicaTimeout = 1100 * time.Millisecond
	// maxSilence is the longest time without a received probe. A subscription can die
	// silently, and pages must show the stored values within 5 s after that.
	maxSilence = 3500 * time.Millisecond
)

var (
	errSilence     = errors.New("messages that this instance publishes to itself do not arrive")
	errUnconfirmed = errors.New("no reply of Redis to SUBSCRIBE")
)

// probe publishes messages from this instance to itself through the node. Each probe also
// reads the node's clock, verifies the node, which restores a lost secret, and writes.
func (e *session) probe() error {
	count := int64(0)
	return every(e.ctx, probeInterval, func() error {
		err := e.probeOnce(count)
		count++
		e.probeResult.Store(&err)
		var conflict *conflictError
		if errors.As(err, &conflict) {
			return err
		}
		if err == nil {
			notify(e.probePassed)
		}
		return nil
	})
}

// watchProbes returns an error when no probe was received, or no SUBSCRIBE confirmed, for
// maxSilence.
func (e *session) watchProbes() error {
	return every(e.ctx, maxSilence/20, func() error {
		if e.feed.unconfirmed() > maxSilence {
			return errUnconfirmed
		}
		if time.Since(e.begun)-time.Duration(e.lastEcho.Load()) <= maxSilence {
			return nil
		}
		e.store.stats.probesLost.Add(1)
		select {
		case <-e.established:
			return cmp.Or(e.probeErr(), errSilence)
		default:
			return cmp.Or(e.probeErr(), errUnconfirmed)
		}
	})
}

// recheck checks the node again when a usable node refused something, or when a probe of a
// node that is not usable succeeded. It runs beside the probes, because a check takes many
// round trips. It begins when the subscription is established: the node is not usable before.
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
				continue // it is checked after the next successful probe
			}
		case <-e.probePassed:
			if h := e.node.status.health(); h.Err == nil && h.Conflict == nil || e.probeErr() != nil {
				continue
			}
		}
		warnings, err := e.node.check(e.ctx)
		if e.ctx.Err() != nil {
			return nil // err is only the end of ctx
		}
		_ = e.node.recordCheck(warnings, err)
	}
}

// probeErr returns the error of the last probe.
func (e *session) probeErr() error {
	if err := e.probeResult.Load(); err != nil {
		return *err
	}
	return nil
}

func (e *session) probeOnce(count int64) error {
	s, n := e.store, e.node
	ctx, cancel := context.WithTimeout(e.ctx, probeTimeout)
	defer cancel()
	pipe := n.Client.Pipeline()
	sent := time.Now()
	clock := pipe.Time(ctx)
	verified := s.appendVerify(ctx, pipe)
	nonce := e.nonce + strconv.FormatInt(count, 10)
	published := pipe.Publish(ctx, s.names.probe(s.instance), nonce)
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	received := time.Now()
	if server, err := clock.Result(); err == nil {
		n.AddClockSample(server, received)
		n.status.addRoundTrip(received.Sub(sent))
	}
	err := verified()
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

// tryWrite writes to a slot of the node and waits for the replicas, as likes do: it notices
// that the node takes no writes before a like fails, and when that is over.
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
	// Every node relays a broadcast: only the session of its own node handles it.
	if m.Channel != s.names.broadcast() || s.topology.SlotMap().Node(m.Channel) != e.node.Node {
		return
	}
	if from, payload, ok := strings.Cut(m.Payload, " "); ok && from != s.instance {
		s.receiving.Lock()
		defer s.receiving.Unlock()
		e.received([]byte(payload))
	}
}
