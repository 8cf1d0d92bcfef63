package tally

import "context"

// Feed delivers the changes of watched topics.
type Feed interface {
	// Run delivers to sink until ctx ends. It passes payloads of other instances' Broadcast
	// to received, one at a time. It is called once.
	Run(ctx context.Context, sink Sink, received func(payload []byte)) error

	// Watch begins to deliver the changes of topic. As soon as no change can be missed, the
	// feed reads the state and passes it to [Sink.Settle]. If the store is away, this happens
	// after its return. Watch does not block.
	Watch(topic Topic)

	// Unwatch ends the delivery. A change may still arrive after it. It does not block.
	Unwatch(topic Topic)

	// Refresh reads the state of topic again, if it is watched, and passes it to [Sink.Settle].
	// It does not block.
	Refresh(topic Topic)

	// Broadcast sends payload to all other instances, at most once and without
	// guarantee. It does not block.
	Broadcast(payload []byte)
}

// Sink receives the deliveries of a [Feed]. Its methods do not block.
type Sink interface {
	// Push receives a change as it was published.
	Push(change Change)

	// Settle receives a state that was read while changes were delivered. It returns the state
	// that the sink then holds. If that differs from read and is not older, the feed asks the
	// store to publish the stored state under a newer version.
	Settle(read Change) (held Change)

	// Newest returns what the sink holds of a watched topic, if that was settled.
	Newest(topic Topic) (held Change, ok bool)

	// Stale reports that changes may be missed from now on.
	Stale()
	// Live reports that no change is missed any more: each watched topic was settled again
	// after Stale.
	Live()
}

// LaggingSink is a [Sink] that distinguishes the states of a replica, which may be older than
// the stored ones.
type LaggingSink interface {
	// SettleLagging is [Sink.Settle] for a state that was read from a replica. It changes
	// nothing if the sink has, or had, a newer state, even if the replica has no such topic.
	SettleLagging(read Change) (held Change)
}
