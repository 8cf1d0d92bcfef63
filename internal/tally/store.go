package tally

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Member identifies a visitor within one topic: the first 64 bits of
// HMAC(secret, topic and visitor). The zero Member identifies no visitor.
type Member uint64

// Source identifies the network that a contribution came from: 32 bits of a keyed hash
// of an IPv4 /24 or IPv6 /48. It is 0 if a server of the site's owner named the visitor.
type Source uint32

// String returns the source in eight hexadecimal digits.
func (s Source) String() string { return fmt.Sprintf("%08x", uint32(s)) }

// MarshalText implements [encoding.TextMarshaler].
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses eight hexadecimal digits.
func (s *Source) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 32)
	if err != nil || len(text) != 8 {
		return fmt.Errorf("%.40q is not a source such as 9f86d081", text)
	}
	*s = Source(n)
	return nil
}

// Write is one visitor's assertion within a [Batch].
type Write struct {
	Member    Member
	Source    Source // for the journal
	Amount    int64  // the contribution, or the option chosen; allowed by the topic's rule
	MayCreate bool   // whether this write may create its topic
	RefuseNew bool   // whether to refuse this write if the member contributes nothing yet

	// Set by Apply.

	Changed     bool // the visitor's contribution changed
	Added       bool // the member contributed nothing before this write
	Created     bool // this write created the topic
	WouldAdd    bool // not applied: the member contributes nothing yet and RefuseNew is true
	WouldCreate bool // not applied: the topic does not exist and MayCreate is false
}

// Batch carries writes of one topic, in the order in which they apply: at most
// [MaxBatchWrites], unless they are those of one visitor.
type Batch struct {
	Topic  Topic
	Mark   string // of the alias list that determined the members, see [AliasMark]
	Writes []Write

	// Set by Apply. If Err is set, the other results are not. If the topic has another mark,
	// nothing was applied, and Err is a [MarkError].

	Count   int64
	Options Options // as in [Change]
	Version int64
	Err     error
}

// Change returns the state of the topic after the batch.
func (b *Batch) Change() Change {
	return Change{Topic: b.Topic, Count: b.Count, Options: b.Options, Version: b.Version}
}

// SetState sets the state of the topic after the batch.
func (b *Batch) SetState(c Change) { b.Count, b.Options, b.Version = c.Count, c.Options, c.Version }

// Query asks for the state of a topic and, if Member is not 0, for that member's
// contribution.
type Query struct {
	Topic  Topic
	Member Member
}

// Reading answers a [Query]. Mine is the member's contribution: for [Window] 1 until
// the member's window ends, for [Choice] the option.
type Reading struct {
	Change  Change
	Mine    int64
	IsStale bool // the store is away: a replica answered, and may lack changes
	Err     error
}

// Share is one instance's part of a presence count: its number of open pages on a topic.
type Share struct {
	Topic Topic
	Pages int64
	// MayRecord allows the share to begin the history of the topic.
	MayRecord bool
}

// Health describes a store to its operator.
type Health struct {
	// Reached is true after the store answered and was usable for the first time.
	Reached bool
	// Err is why the store cannot be used now, or nil.
	Err error
	// Conflict is the part of the configuration that prevents the use of the store, such
	// as another secret. Waiting does not resolve it.
	Conflict error
	// Warnings describe dangers in the store's own configuration.
	Warnings []string
	// Replica describes the replica that is read and followed; nil without one.
	Replica *ReplicaHealth
}

// ReplicaHealth describes a replica of a store to its operator.
type ReplicaHealth struct {
	IsUsed bool          // numbers are read and followed there
	Lag    time.Duration // from a write of this instance to its arrival, last measurement; 0 before the first
	Err    error         // why it cannot be used, or nil
}

// Store keeps contributions, counts and versions. Callers take the parts that they use.
// All methods may be called concurrently, return by their context's deadline, and report
// an [Error] with [CodeStoreUnavailable] if the store cannot answer.
type Store interface {
	Applier
	Reader
	HistoryReader
	Ranker
	GainRanker
	PresenceStore
	SecretSource

	// Reissue compares, atomically for each topic, the stored change with the one that an
	// instance holds. It publishes the stored count under a version above both unless the
	// stored version is higher, both are equal, or the topic does not exist and the held
	// count is 0.
	Reissue(ctx context.Context, held []Change) error

	// Health does no I/O.
	Health() Health
}

// Replicated is a [ServiceStore] whose reads without a member may be answered by a replica.
type Replicated interface {
	// IsStale reports whether the replica answers while the store is away, so that changes may be
	// missing. It does no I/O.
	IsStale() bool
}

// Applier applies assertions.
type Applier interface {
	// Lane returns the node that stores topic. Batches of different lanes do not wait for
	// each other.
	Lane(topic Topic) string

	// Apply applies batches of one lane, each atomically, and sets their results. Results
	// without an error are durable. Each batch that changes a contribution publishes one
	// change. No write is applied after ctx's deadline. A batch with an error may have
	// been applied, but not after Apply returned.
	Apply(ctx context.Context, batches []Batch)
}

// Distant is an [Applier] whose nodes may be far away, so that a batch spends most of its time
// on the network.
type Distant interface {
	// Window returns how many calls of Apply may be in flight for a lane, at least 1, and the
	// least time between the starts of two. inFlight is their present number. It does no I/O.
	Window(lane string, inFlight int) (calls int, gap time.Duration)
}

// Reader reads the state of topics.
type Reader interface {
	// Read answers the queries in their order and changes nothing. A topic that does not
	// exist has version 0, or its final version for some time after it was deleted.
	Read(ctx context.Context, queries []Query) []Reading
}

// Ranker orders topics by their counts.
type Ranker interface {
	// Top returns the topics of a metric with the highest counts above 0, highest
	// first, equal counts ordered by topic; at most limit. It may be 2 s behind.
	Top(ctx context.Context, site, metric string, limit int) ([]Change, error)
}

// PresenceStore counts open pages.
type PresenceStore interface {
	// SetShares sets this instance's share of each topic and publishes sums that changed.
	// A share counts until ttl is over; setting it again renews it.
	SetShares(ctx context.Context, ttl time.Duration, shares []Share) error
}

// SecretSource holds the key of the visitor hash.
type SecretSource interface {
	// Secret returns the key, which is stored and the same for all instances. It does no
	// I/O. It returns an error before the store was first reached and during a conflict.
	Secret() ([]byte, error)
}
