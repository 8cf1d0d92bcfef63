package tally

import (
	"context"
	"time"
)

// Member is what a store knows of a visitor on one topic: the first 64 bits of
// HMAC(secret, topic and visitor). The zero Member is nobody.
type Member uint64

// Write is one visitor's assertion within a [Batch].
type Write struct {
	Member Member
	Source Source // for the journal
	Amount int64  // the contribution asserted; allowed by the topic's rule
	// MayCreate says that this write may bring its topic into being. One that may
	// not, and would, is left out and marked WouldCreate.
	MayCreate bool

	// Filled in by Store.Apply.

	Changed     bool // the visitor's contribution is another than before
	Created     bool // this write brought the topic into being
	WouldCreate bool // left out: the topic does not exist and MayCreate is false
}

// Batch carries the writes of one topic, in the order in which they apply. Its
// size is bounded by [MaxBatchWrites].
type Batch struct {
	Topic  Topic
	Mark   string // of the alias list under which the members were found, see [AliasMark]
	Writes []Write

	// Filled in by Store.Apply. Where Err is set nothing else is. It is a [MarkError] if
	// the topic does not admit the mark, see [AdmitsWrites]: nothing was applied.

	Count   int64
	Version int64
	Err     error
}

// Query asks for the state of a topic and, where Member is not zero, for that
// member's contribution.
type Query struct {
	Topic  Topic
	Member Member
}

// Reading answers a [Query]. Mine is the member's contribution: for [Window] 1
// while the member's window lasts.
type Reading struct {
	Change Change
	Mine   int64
	Err    error
}

// Share is how many open pages one instance holds present on a topic.
type Share struct {
	Topic Topic
	Pages int64
}

// Health is what an operator is told of a store.
type Health struct {
	// Reached is true once the store answered and was found usable.
	Reached bool
	// Err says why the store cannot be used now; nil while it can.
	Err error
	// Conflict says what in the configuration forbids to use the store, such as
	// another secret; waiting does not mend it.
	Conflict error
	// Warnings name what is dangerous in the store's own configuration.
	Warnings []string
}

// Store keeps contributions, counts and versions. All methods may be called
// concurrently. Whatever keeps a store from answering is an [Error] with
// [CodeStoreUnavailable]; methods return by their context's deadline.
type Store interface {
	// Lane names the node on which topic lives. Batches of different lanes do
	// not wait for each other.
	Lane(topic Topic) string

	// Apply applies the batches, all of one lane, each atomically, and fills in
	// their results. What it reports without error is durable. A change is
	// published once a batch, and only where a contribution changed. Nothing of
	// a batch is applied after ctx's deadline, even by a store that wakes later;
	// a batch whose Err is set may have been applied, but not after Apply returned.
	Apply(ctx context.Context, batches []Batch)

	// Read answers the queries, one reading each in their order. It changes nothing. A
	// topic that was deleted has count 0 and its final version while that is known, one
	// that is missing otherwise version 0.
	Read(ctx context.Context, queries []Query) []Reading

	// Reissue compares, atomically for each topic, what is stored with what is
	// held. Where the stored version is above the held one, where both version and
	// count are equal, or where the topic does not exist and the held count is 0, it
	// does nothing. Otherwise it stores the stored count
	// under a version above both and publishes it.
	Reissue(ctx context.Context, held []Change) error

	// SetShares sets this instance's share in the presence of each topic, good
	// for ttl after which it counts as 0, drops the shares that ended, and
	// publishes the sum where it changed. Setting a share again is harmless.
	SetShares(ctx context.Context, ttl time.Duration, shares []Share) error

	// Top returns the topics of a metric with the highest counts above 0, highest
	// first, equal counts ordered by topic; at most limit. It may be 2 s behind.
	Top(ctx context.Context, site, metric string, limit int) ([]Change, error)

	// Secret returns the key of the visitor hash, which is kept in the store and
	// the same for all instances; an error before the store was first reached and
	// while there is a conflict. It does no I/O.
	Secret() ([]byte, error)

	// Health does no I/O.
	Health() Health
}

// Feed tells of the changes of the topics that are watched.
type Feed interface {
	// Run delivers to sink, and payloads of other instances' Broadcast to
	// received (never several at once), until ctx ends. It is called once.
	Run(ctx context.Context, sink Sink, received func(payload []byte)) error

	// Watch begins to follow topic: once no change can be missed any more its
	// state is read and handed to [Sink.Settle]. While the store is away this
	// waits for its return. Watch does not block.
	Watch(topic Topic)

	// Unwatch ends what Watch began. A change may still arrive after it. It does
	// not block.
	Unwatch(topic Topic)

	// Broadcast sends payload to all other instances, at most once and without
	// guarantee. It does not block.
	Broadcast(payload []byte)
}

// Refresher is a [Feed] that reads a watched topic again when it is asked to.
type Refresher interface {
	// Refresh has the state of topic read and handed to [Sink.Settle] once more, if it
	// is watched. It does not block.
	Refresh(topic Topic)
}

// Sink is where a [Feed] delivers. Its methods do not block.
type Sink interface {
	// Push hands over a change as it was published.
	Push(change Change)

	// Settle hands over a state that was read while the topic was followed. It
	// returns what the sink holds afterwards; where that is another than read
	// with the same or a lower version, the feed asks the store to reissue it.
	Settle(read Change) (held Change)

	// Stale says that changes may be missed from now on, Live that they are not
	// missed any more and that all watched topics were settled since.
	Stale()
	Live()
}
