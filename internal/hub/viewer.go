package hub

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/tallycast/tallycast/internal/tally"
)

// Conn is a viewer's connection. One goroutine calls its methods.
type Conn interface {
	// TryWrite makes one attempt to write, which does not wait. n below len(p) without
	// an error means that the connection accepts no more bytes for now.
	TryWrite(p []byte) (n int, err error)
	// Close is the last call. It must not wait for a lock that callers of the hub hold.
	Close(reason Reason)
}

// Reason is why a viewer was closed, a label of metrics.
type Reason uint8

const (
	ReasonGone         Reason = iota // the client or the network closed the connection
	ReasonWriteTimeout               // it accepted no bytes for the write timeout
	ReasonOverflow                   // it does not accept the answers that it requests
	ReasonPolicy                     // it broke the protocol's rules
	ReasonOverload                   // the instance was full
	ReasonDraining                   // the instance ends
	reasons
)

var reasonNames = [reasons]string{"gone", "write_timeout", "overflow", "policy", "overload", "draining"}

func (r Reason) String() string { return reasonNames[r] }

// ReasonOf returns why a viewer is closed whose connection ended with err; nil is the end of
// the input. ETIMEDOUT means that the kernel gave up before the hub did.
func ReasonOf(err error) Reason {
	if errors.Is(err, syscall.ETIMEDOUT) {
		return ReasonWriteTimeout
	}
	return ReasonGone
}

// maxPending bounds the pending bytes of one viewer, so that refusals of 1,000 topics with
// long keys fit.
const maxPending = 1 << 19

// Viewer is the hub's part of a connection that watches topics. The connection embeds it, so
// that both are one allocation. The first call for it is [Hub.Adopt].
type Viewer struct {
	// Quota bounds the topics of this viewer and others together; nil for no bound. It
	// is set before Adopt.
	Quota *Quota
	// Unanswered is the number of assertions of this viewer that wait for their answers. The
	// owner of the connection counts.
	Unanswered atomic.Int32

	// Fixed by Adopt.
	conn  Conn
	shard *shard

	inInbox atomic.Int64 // bytes of frames in the shard's inbox

	format Format // fixed by Adopt

	// Owned by the shard's goroutine. The order leaves few bytes unused.

	state         state
	backoff       uint8  // failed attempts in a row while blocked
	closeReason   Reason // while closing
	pendingLive   uint16 // live events to send
	index         int32  // in shard.viewers
	unsent        slots  // in subscriptions
	lastProgress  uint32 // when it last accepted bytes or began to be blocked, in seconds of the hub's time
	retry         uint32 // when to write again while blocked, in ticks of the hub's time
	subscriptions []subscription
	sentBefore    map[tally.Topic]int64 // the version last sent of topics unsubscribed from; at most MaxTopicsPerViewer
	pending       []byte                // the rest of a frame that was cut, and encoded frames for this viewer alone
}

// state is a set of flags of a viewer.
type state uint8

const (
	joined      state = 1 << iota // in shard.viewers
	queuedDirty                   // in shard.dirty
	blocked                       // did not accept all bytes of the last write
	sentStale                     // was sent stale, and no live since
	needsBeat                     // was sent nothing for beatInterval
	closing                       // will be closed after the pending bytes
	closed
	inBlockedList // in shard.blocked
)

func (v *Viewer) is(s state) bool { return v.state&s != 0 }
func (v *Viewer) set(s state)     { v.state |= s }
func (v *Viewer) unset(s state)   { v.state &^= s }

// Adopt assigns v to a shard. It is called before all other methods. The hub neither writes
// to the connection nor closes it before [Hub.Join], which must follow.
func (h *Hub) Adopt(v *Viewer, conn Conn, format Format) {
	v.conn, v.format = conn, format
	v.shard = h.shards[h.nextShard.Add(1)%uint32(len(h.shards))]
}

// Join starts writing to v. The first write has head, as it is, and the snapshot of earlier
// subscriptions. The hub keeps head. If the hub has ended, Join closes v.
func (h *Hub) Join(v *Viewer, head []byte) {
	v.shard.send(command{kind: join, viewer: v, bytes: head})
}

// Subscribe adds topics to those that v watches. The hub sends v the snapshot of new ones,
// and live. It refuses the topics that it returns: full, because the hub watches as many as
// it may; overQuota, because v's quota is used up.
func (h *Hub) Subscribe(v *Viewer, topics []tally.Topic) (full, overQuota []tally.Topic) {
	acquired, full, overQuota := h.acquireFor(v, topics)
	v.shard.send(command{kind: subscribe, viewer: v, topics: acquired})
	return full, overQuota
}

// SubscribeAgain is [Hub.Subscribe] for topics that were refused before. It returns those that
// it refuses again. If it refuses all, it sends v nothing, not even live.
func (h *Hub) SubscribeAgain(v *Viewer, topics []tally.Topic) (refused []tally.Topic) {
	acquired, full, overQuota := h.acquireFor(v, topics)
	if len(acquired) > 0 {
		v.shard.send(command{kind: subscribe, viewer: v, topics: acquired})
	}
	return append(full, overQuota...)
}

// acquireFor returns topics with a reference for v, and those that are refused.
func (h *Hub) acquireFor(v *Viewer, topics []tally.Topic) (acquired []*topic, full, overQuota []tally.Topic) {
	acquired = make([]*topic, 0, len(topics))
	for _, name := range topics {
		if !v.Quota.Acquire() {
			overQuota = append(overQuota, name)
		} else if t := h.acquire(name); t != nil {
			acquired = append(acquired, t)
		} else {
			v.Quota.Release()
			full = append(full, name)
		}
	}
	return acquired, full, overQuota
}

// Unsubscribe removes topics from those that v watches. It ignores others.
func (h *Hub) Unsubscribe(v *Viewer, topics []tally.Topic) {
	var watched []*topic
	for _, name := range topics {
		// The hub finds each topic of v, since v has a reference to it.
		if t := h.topics.find(name); t != nil {
			watched = append(watched, t)
		}
	}
	v.shard.send(command{kind: unsubscribe, viewer: v, topics: watched})
}

// Send sends an encoded frame to v alone. The hub keeps frame. If too many bytes wait for the
// shard, it drops the frame and closes v.
func (h *Hub) Send(v *Viewer, frame []byte) { h.Answer(v, frame, tally.Change{}) }

// Answer is [Hub.Send] for the answer to an assertion of v. change is the state that the answer
// has. If it is newer than the newest value, the viewers of the topic get it before the feed
// brings it, and v in one write with the answer.
func (h *Hub) Answer(v *Viewer, frame []byte, change tally.Change) {
	size := int64(len(frame))
	waiting := v.inInbox.Add(size)
	switch {
	case waiting <= maxPending:
		v.shard.send(command{kind: send, viewer: v, bytes: frame, change: change})
	case waiting-size <= maxPending: // the first frame too many
		h.Leave(v, ReasonOverflow)
	}
}

// Finish sends the pending bytes and closeFrame, which is encoded, and closes v. If v is
// blocked, Finish closes it at once.
func (h *Hub) Finish(v *Viewer, closeFrame []byte, reason Reason) {
	v.shard.send(command{kind: finish, viewer: v, bytes: closeFrame, reason: reason})
}

// Leave closes v without a close frame.
func (h *Hub) Leave(v *Viewer, reason Reason) {
	v.shard.send(command{kind: leave, viewer: v, reason: reason})
}

// Quota bounds the sum of the topics that several viewers watch, such as those of one client.
// The nil Quota has no bound. It is safe for concurrent use.
type Quota struct {
	max  int64 // fixed
	used atomic.Int64
}

// NewQuota returns a quota of at most max topics. With 0 it refuses all.
func NewQuota(max int) *Quota { return &Quota{max: int64(max)} }

// Acquire counts one more topic. It returns false, and counts nothing, if the quota is
// used up.
func (q *Quota) Acquire() bool {
	if q == nil {
		return true
	}
	if q.used.Add(1) > q.max {
		q.used.Add(-1)
		return false
	}
	return true
}

// Release counts one topic less.
func (q *Quota) Release() {
	if q != nil {
		q.used.Add(-1)
	}
}
