package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
)

const (
	// probeTimeout is how long a probe may take.
	probeTimeout = 2 * time.Second
	// probeKeyTTL is the lifetime of the key that probes write, so that it ends with the instance.
	probeKeyTTL = time.Minute
	// replicaTimeout is how long replicas may take to confirm a probe's write.
	replicaTimeout = 1100 * time.Millisecond
	// maxSilence is the longest wait for the message of a probe. After a subscription has died
	// silently, pages must show the stored values within 5 s if changes are frequent.
	maxSilence = 2500 * time.Millisecond
	// establishTime is the additional time for SUBSCRIBE and the first probe: connecting takes
	// several round trips.
	establishTime = time.Second
)

var (
	errSilence     = errors.New("messages that this instance publishes to itself do not arrive")
	errUnconfirmed = errors.New("no reply of Redis to SUBSCRIBE")
)

// echoes compares the probes that a session sent with those that it received.
type echoes struct {
	mu sync.Mutex
	// Guarded by mu.
	sent, received int64     // number of the last probe
	since          time.Time // when the oldest probe without an echo was sent; zero: none
}

// begin begins a session. Its first echo may come later, since SUBSCRIBE has to be confirmed before.
func (e *echoes) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since = time.Now().Add(establishTime)
}

// send returns the number of the next probe.
func (e *echoes) send() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent++
	if e.since.IsZero() {
		e.since = time.Now()
	}
	return e.sent
}

// receive records that a probe was received.
func (e *echoes) receive(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.received = max(e.received, number)
	if e.since = (time.Time{}); e.received < e.sent {
		e.since = time.Now() // the next was sent just before
	}
}

// silence returns how long an echo has been awaited; 0 if none is.
func (e *echoes) silence() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		return 0
	}
	return time.Since(e.since)
}

// probe publishes messages from this instance to itself through the node, see probecall.go.
func (e *session) probe() error {
	for {
		err := e.probeOnce()
		e.probeResult.Store(&err)
		if errors.As(err, new(*conflictError)) {
			return err
		}
		if err == nil {
			notify(e.probePassed)
		}
		if !e.awaitProbe() {
			return nil
		}
	}
}

// awaitProbe waits until the next probe is due. It returns false if the session ends.
func (e *session) awaitProbe() bool {
	n, soon := e.node, false
	for {
		wait := n.pace.wait(n.isWatched(), n.status.health().Err != nil, soon)
		if wait <= 0 {
			return e.ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-n.pace.soon:
			soon = true
		case <-e.ctx.Done():
		}
		timer.Stop()
		if e.ctx.Err() != nil {
			return false
		}
	}
}

// watchProbes returns an error when no probe was received, or no SUBSCRIBE confirmed, for
// maxSilence.
func (e *session) watchProbes() error {
	return every(e.ctx, maxSilence/15, func() error {
		if e.feed.unconfirmed() > maxSilence+establishTime {
			return errUnconfirmed
		}
		if e.echoes.silence() <= maxSilence {
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

// recheck checks the node again after a usable node refused a command, and after a probe of a node
// that is not usable succeeded. It runs beside the probes, because a check takes several round
// trips. It begins after the subscription is established, since the node is not usable before.
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

func (e *session) probeOnce() error {
	s, n := e.store, e.node
	ctx, cancel := context.WithTimeout(e.ctx, probeTimeout)
	defer cancel()
	n.pace.begin(n.isWatched())
	message := e.nonce + strconv.FormatInt(e.echoes.send(), 10)
	parts := append(n.verifyParts(), n.followParts()...)
	if s.topology.Replicas() == 0 {
		parts = append(parts, n.writePart()...)
	}
	s.replica.send(message)
	took, err := n.runProbe(ctx, message, append(parts, n.heartbeatPart()...))
	if took > 0 {
		n.AddRoundTrip(took)
		n.status.addRoundTrip(took)
	}
	var refused redis.Error
	if err == nil || errors.As(err, &refused) { // a probe is published even if Redis refused a part
		s.replica.answer(message)
	}
	if err == nil && s.topology.Replicas() > 0 {
		err = n.tryWrite(ctx)
	}
	if err != nil && e.ctx.Err() == nil {
		s.topology.Suspect(err)
		if lacksRight(err) {
			// Redis does not name the command that a script may not run. The check names all.
			if _, found := n.check(ctx); found != nil {
				err = found
			}
		}
		err = fmt.Errorf("probe: %w", err)
		n.status.setFailed(n.explain(err))
		return err
	}
	return nil
}

// runProbe sends the parts of a probe to the node, and returns the round trip, 0 if there was
// no answer.
func (n *node) runProbe(ctx context.Context, message string, parts []probePart) (took time.Duration, err error) {
	var calls *probeCalls
	var sent, received time.Time
	for range 2 {
		pipe := n.Client.Pipeline()
		calls = n.appendProbe(ctx, pipe, message, parts)
		sent = time.Now()
		_ = redistopology.Exec(ctx, pipe) // each command has its own error
		received = time.Now()
		if !calls.lostScripts() {
			break
		}
		if err := n.ReloadScripts(ctx); err != nil {
			return 0, err
		}
	}
	err = calls.review(received)
	if calls.answered() {
		took = received.Sub(sent)
	}
	return took, err
}

// sampleClock reads the clock of a node for a write after a pause. It also verifies the node, since
// the store may have lost its data during the pause.
func (s *Store) sampleClock(ctx context.Context, at *redistopology.Node) error {
	n := nodeOf(at)
	_, err := n.runProbe(ctx, "", append(n.verifyParts(), n.followParts()...))
	n.reportConflict(err)
	return err
}

// reportConflict stores a conflict in the node's health.
func (n *node) reportConflict(err error) {
	if errors.As(err, new(*conflictError)) {
		n.status.setFailed(err)
	}
}

// tryWrite writes to a slot of the node and waits for the replicas, as likes do. So the instance
// knows that the node takes no writes before a like fails, and when it takes writes again.
func (n *node) tryWrite(ctx context.Context) error {
	key := n.scratch().probe
	if key == "" {
		return nil // it holds no slots
	}
	pipe := n.Client.Pipeline()
	set := pipe.Set(ctx, key, "", probeKeyTTL)
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
		if e.node.replica != nil {
			if e.node.replica.receive(m.Payload) {
				notify(e.probePassed)
			}
			return
		}
		if number, ok := strings.CutPrefix(m.Payload, e.nonce+prefetchMark); ok {
			e.prefetches.decide(e.feed, number)
		} else if number, ok := strings.CutPrefix(m.Payload, e.nonce); ok {
			if n, err := strconv.ParseInt(number, 10, 64); err == nil {
				e.echoes.receive(n)
			}
		}
		return
	}
	// Every node relays a broadcast. Only the session of the node that owns its channel handles it.
	if m.Channel != s.names.broadcast() || s.topology.SlotMap().Node(m.Channel) != e.node.Node {
		return
	}
	if from, payload, ok := strings.Cut(m.Payload, " "); ok && from != s.instance {
		s.isAlone.Store(false)
		s.receiving.Lock()
		defer s.receiving.Unlock()
		e.received([]byte(payload))
	}
}
