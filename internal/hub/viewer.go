package hub

import (
	"github.com/tallycast/tallycast/internal/tally"
)

// Conn is a viewer's connection. Its methods are called by one goroutine alone.
type Conn interface {
	// TryWrite makes one attempt to write that does not wait. n below len(p)
	// without an error means that the connection takes no more for now.
	TryWrite(p []byte) (n int, err error)
	// Close is called once, last. It takes no lock under which the hub is called.
	Close(reason Reason)
}

// Reason says why a viewer is gone. It is a label of metrics.
type Reason uint8

const (
	ReasonGone         Reason = iota // it closed the connection, or the network did
	ReasonWriteTimeout               // it took nothing for the write timeout
	ReasonOverflow                   // it takes less than it asks for: answers piled up
	ReasonPolicy                     // it was hostile
	ReasonOverload                   // there was no place for it
	ReasonDraining                   // the instance ends
	reasons
)

var reasonNames = [reasons]string{"gone", "write_timeout", "overflow", "policy", "overload", "draining"}

func (r Reason) String() string { return reasonNames[r] }

// maxPrivate bounds what is kept of frames that are for one viewer alone, in bytes:
// refusals of 1,000 topics with long keys fit.
const maxPrivate = 1 << 19

// Viewer is one connection that watches topics. It is made to be embedded in the
// connection, so that both are one allocation. Its zero value must be given to
// [Hub.Adopt] before anything else.
type Viewer struct {
	// Quota bounds what the viewer and others watch together; nil for none. It is set
	// before Adopt.
	Quota *Quota

	// Fixed by Adopt.
	conn   Conn
	shard  *shard
	format Format

	state state

	// Owned by the shard's goroutine.

	pendingLive   uint16 // live events it is owed
	backoff       uint8  // how many tries in a row found it blocked
	index         int32  // in shard.viewers
	lastProgress  uint32 // when it last took something or began to be blocked, in seconds of the shard's time
	retry         uint32 // when it is tried again while blocked, in ticks of the shard's time
	subscriptions []subscription
	sentBefore    map[tally.Topic]int64 // topics unsubscribed from, to the version sent last; as many as one may watch
	rest          []byte                // what is left of a frame that was cut
	private       []byte                // encoded frames for this viewer alone
	closeReason   Reason                // why it is closed, while closing
}

// state is a set of what is true of a viewer.
type state uint8

const (
	joined        state = 1 << iota // among the shard's viewers
	queuedDirty                     // waits in the shard's dirty list
	blocked                         // took less than it was offered
	sentStale                       // knows that numbers may be old
	needsBeat                       // heard nothing for long
	closing                         // gets rest and own, nothing else, and is closed then
	closed                          // gone
	inBlockedList                   // in the shard's list of blocked viewers
)

func (v *Viewer) is(s state) bool { return v.state&s != 0 }
func (v *Viewer) set(s state)     { v.state |= s }
func (v *Viewer) unset(s state)   { v.state &^= s }

// Adopt prepares a viewer and divides it to a shard. From then on [Hub.Leave] may
// be called; nothing is written, and the connection is not closed, before [Hub.Join],
// which must follow. Who joins after the hub ended is closed then.
func (h *Hub) Adopt(v *Viewer, conn Conn, format Format) {
	v.conn, v.format = conn, format
	v.shard = h.shards[h.next.Add(1)%uint32(len(h.shards))]
}

// Join makes the hub write to v: first head, bytes as they are, then all else. What
// was subscribed to before goes with it in one write. The hub keeps head.
func (h *Hub) Join(v *Viewer, head []byte) {
	v.shard.send(command{kind: join, viewer: v, bytes: head})
}

// Subscribe adds topics to what v watches. It is answered with the snapshot of those
// that are new, and live. It returns the topics that are refused: because the hub
// watches as many as it may, and because v's quota is used up.
func (h *Hub) Subscribe(v *Viewer, topics []tally.Topic) (full, overQuota []tally.Topic) {
	held := make([]*topic, 0, len(topics))
	for _, name := range topics {
		if !v.Quota.Acquire() {
			overQuota = append(overQuota, name)
		} else if t := h.acquire(name); t != nil {
			held = append(held, t)
		} else {
			v.Quota.Release()
			full = append(full, name)
		}
	}
	v.shard.send(command{kind: subscribe, viewer: v, topics: held})
	return full, overQuota
}

// Unsubscribe ends watching topics; those that v does not watch are passed over.
func (h *Hub) Unsubscribe(v *Viewer, topics []tally.Topic) {
	var found []*topic
	for _, name := range topics {
		// What v watches it holds a reference of, so that it is found.
		if t := h.topics.find(name); t != nil {
			found = append(found, t)
		}
	}
	v.shard.send(command{kind: unsubscribe, viewer: v, topics: found})
}

// Send gives v bytes that are for it alone, already encoded. The hub keeps frame.
func (h *Hub) Send(v *Viewer, frame []byte) {
	v.shard.send(command{kind: send, viewer: v, bytes: frame})
}

// Finish sends last, encoded, after what is cut, and closes v. A viewer that does
// not take it at once is closed without.
func (h *Hub) Finish(v *Viewer, last []byte, reason Reason) {
	v.shard.send(command{kind: finish, viewer: v, bytes: last, reason: reason})
}

// Leave closes v without a word.
func (h *Hub) Leave(v *Viewer, reason Reason) {
	v.shard.send(command{kind: leave, viewer: v, reason: reason})
}
