package tally

import (
	"context"
	"time"
)

// What is shown of a topic is count = seed + adjustment + contributions, never
// below 0: where contributions that are taken back would bring it there, the
// adjustment rises instead, so that the sum holds at all times.

// Source is what a store knows of where a contribution came from: 32 bits of a
// keyed hash of a network, an IPv4 /24 or IPv6 /48. The zero Source is none: it
// came from a server that named a visitor.
type Source uint32

// State is all that is stored of a topic beside its contributions.
type State struct {
	Change
	Seed       int64 // as it was last given; never below 0
	Adjustment int64 // what its owner added by hand; may be below 0
}

// Contribution is what one member adds to a topic; Amount is above 0.
type Contribution struct {
	Member Member
	Amount int64
}

// EditKind says what an [Edit] does.
type EditKind uint8

const (
	// EditSeed makes Value the topic's seed. The seed that is there already changes
	// nothing, so that it can be said again, by several at once.
	EditSeed EditKind = iota + 1
	// EditAdjustment makes Value the topic's adjustment.
	EditAdjustment
	// EditCount makes Value the topic's count, by its adjustment.
	EditCount
	// EditReset drops seed, adjustment and all contributions: the count is 0, and
	// everybody may contribute anew. Its journal ends with it.
	EditReset
	// EditDelete is EditReset and the end of the topic: it is missing afterwards, and
	// Store.Read answers its final version while that is known. The count 0 is published
	// under that version.
	EditDelete
	// EditWithdraw takes back what Members contributed, final or not, and forgets their
	// traces in the journal. Members of a window are those of the present one.
	EditWithdraw
	// EditBase makes Value what seed and adjustment add up to, by the adjustment: what
	// was counted before there were contributions, or elsewhere. No contribution is
	// lost by it, however often it is said.
	EditBase
)

// MaxValue bounds what an owner may set, an adjustment either way, and what one
// contribution and all of a topic add up to in a [Portion]: so sums stay among the
// integers that a JSON number holds exactly (2^53). Beyond it stores answer
// [CodeBadAmount].
const MaxValue = 1 << 51

// Edit is one thing that an owner does to one topic, which may not be of a
// presence metric. EditSeed, EditAdjustment, EditCount and EditBase bring a topic into
// being where it is missing, even with the value 0; the others leave it missing.
type Edit struct {
	Topic   Topic
	Kind    EditKind
	Value   int64
	Members []Member // at most MaxBatchWrites
	// IfVersion, where not 0, is the version that the topic must have; the edit does
	// nothing (and Changed is false) where it has another.
	IfVersion int64
	// Mark is that of the merge whose step the edit is; else empty. Where the topic does
	// not admit it, see [AdmitsEdits], Err is [ErrFrozen].
	Mark string

	// Filled in by Ledger.Edit. Where Err is set nothing else is.

	Before  State // before the edit; the zero State (but Topic) for a topic that was missing
	After   State // version 0 after EditDelete
	Changed bool
	Err     error
}

// Validate tells why an edit of a topic with that rule is none: [CodeReadOnlyMetric],
// [CodeBadAmount], or [CodeInternal] where no caller should have made it.
func (e *Edit) Validate(rule Rule) error {
	least := int64(0)
	switch e.Kind {
	case EditSeed, EditCount, EditBase:
	case EditAdjustment:
		least = -MaxValue
	case EditWithdraw:
		if len(e.Members) > MaxBatchWrites {
			return Errorf(CodeInternal, "an edit withdraws at most %d members", MaxBatchWrites)
		}
	case EditReset, EditDelete:
	default:
		return Errorf(CodeInternal, "there is no edit of kind %d", e.Kind)
	}
	if err := rule.CheckEditable(e.Topic.Metric()); err != nil {
		return err
	}
	if e.sets() && (e.Value < least || e.Value > MaxValue) {
		return Errorf(CodeBadAmount, "%s is a whole number from %d to %d", editNames[e.Kind], least, int64(MaxValue))
	}
	return nil
}

// Creates reports whether the edit creates a topic that does not exist.
func (e *Edit) Creates() bool { return e.sets() }

// sets tells whether the edit makes something its Value.
func (e *Edit) sets() bool { return editNames[e.Kind] != "" }

// editNames is what each kind of edit sets, for messages.
var editNames = map[EditKind]string{
	EditSeed: "a seed", EditAdjustment: "an adjustment", EditCount: "a count", EditBase: "what was counted before",
}

// Portion is a topic's state and some of its contributions, at most
// [MaxPortion]. The portions of a topic follow each other; First and Last
// stand on the first and the last, which may be the same.
type Portion struct {
	State
	// Sum is what contributions add in all, those included that a window metric
	// has forgotten: Count - Seed - Adjustment. Only that of the last portion holds.
	Sum           int64
	Contributions []Contribution
	First, Last   bool
	// Mark is that of the merge whose step it is to store the portion, as in [Edit].
	Mark string
}

// MaxPortion is the most contributions that one [Portion] carries.
const MaxPortion = 1000

// Scope narrows what is listed: to a site, to a metric of it, and to keys that
// begin with Prefix. Each may be empty; what follows an empty one is empty.
type Scope struct {
	Site, Metric, Prefix string
	// Exact narrows it to the one topic whose key Prefix is, which stores find without
	// a look at others.
	Exact bool
}

// ScopeOf returns the scope of one topic.
func ScopeOf(topic Topic) Scope {
	return Scope{Site: topic.Site(), Metric: topic.Metric(), Prefix: topic.Key(), Exact: true}
}

// Contains tells whether topic is within the scope.
func (s Scope) Contains(topic Topic) bool {
	return (s.Site == "" || s.Site == topic.Site()) &&
		(s.Metric == "" || s.Metric == topic.Metric()) &&
		len(topic.Key()) >= len(s.Prefix) && topic.Key()[:len(s.Prefix)] == s.Prefix &&
		(!s.Exact || len(topic.Key()) == len(s.Prefix))
}

// Order is the order of a [Listing].
type Order uint8

const (
	ByTopic  Order = iota // by name
	ByNewest              // the topic that changed last first
	ByCount               // the highest count first
)

// Listing asks for a page of topics, presence left out.
type Listing struct {
	Scope Scope
	Order Order
	Limit int    // at most MaxPortion
	After string // the Next of the page before; empty: the first page
	// Before, where not 0, leaves out topics that changed at that version or later.
	Before int64
}

// Page answers a [Listing]. Next is empty where there is nothing more.
type Page struct {
	States []State
	Next   string
}

// JournalEntry is a contribution of the last days, as the journal keeps it: one for each
// time a member's contribution to a topic became more than it was.
type JournalEntry struct {
	Topic  Topic
	Member Member
	Minute int64 // minutes since the Unix epoch, of the store's clock
	Source Source
	// Position is where the store finds the trace again, for Revert; opaque.
	Position string
}

// AuditEntry is one line of what was done to the numbers.
type AuditEntry struct {
	At     time.Time
	Actor  string // how and from where, such as "admin 203.0.113.7" or "tallycast import"
	Action string // such as "set", "undo", "import"
	Target string // a topic, a scope, a source
	Detail string // what it did, for people
}

// SiteUsage is what a site takes up. Bytes may be an estimate; it is of the store's
// disk or memory, whichever holds the numbers.
type SiteUsage struct {
	Site          string `json:"site"`
	Topics        int64  `json:"topics"`
	Contributions int64  `json:"contributions"`
	Bytes         int64  `json:"bytes"`
}

// Heartbeat is what an instance reports about itself every [HeartbeatInterval].
type Heartbeat struct {
	Instance string // random, for the life of the process
	Status   []byte // JSON; the store does not read it
	// Writes are the contributions that changed through this instance, by site,
	// since its last heartbeat that was stored.
	Writes map[string]int64
}

const (
	// HeartbeatInterval is the time between two heartbeats of an instance.
	HeartbeatInterval = 5 * time.Second
	// HeartbeatTTL is how long an instance is listed after its last heartbeat.
	HeartbeatTTL = 3 * HeartbeatInterval
	// ActivityRetention is how long the writes of each minute are kept.
	ActivityRetention = 48 * time.Hour
)

// Activity is how many contributions to a site changed within a minute.
type Activity struct {
	Site   string `json:"site"`
	Minute int64  `json:"minute"` // minutes since the Unix epoch
	Writes int64  `json:"writes"`
}

// Ledger is what the owner of the numbers may do with a store, beside what
// visitors do. Methods may be called concurrently with each other and with those of
// [Store]; each change of a count has a new version and is published once, as
// those of visitors are. What they report without error is durable. Whatever keeps
// the store from answering is an [Error] with [CodeStoreUnavailable].
type Ledger interface {
	// Edit carries out the edits, each atomically, in their order where they are of
	// one topic. EditReset and EditDelete of a large topic may take it in steps, of
	// which each is atomic and only the last shows.
	Edit(ctx context.Context, edits []Edit)

	// Dump hands all topics of scope, presence left out, and their contributions to
	// each, portion by portion, while visitors write; memory does not grow with the
	// store. Each topic's count is the sum of what was handed over (see
	// Portion.Counted), and holds every contribution acknowledged before Dump was called
	// and not taken back since. It ends with the first error of each.
	Dump(ctx context.Context, scope Scope, each func(Portion) error) error

	// Restore stores portions, several of one topic in their order; it may be
	// repeated. With replace, a portion that is First takes the place of what was
	// there. Without, contributions are united, the greater amount of a member holding,
	// and of seed, of adjustment, and of a window metric's Counted the greater holds.
	// Versions end above the stored one and at least at the portion's. A portion whose
	// topic does not admit its mark is [ErrFrozen].
	Restore(ctx context.Context, replace bool, portions []Portion) error

	// List returns a page of topics. ByNewest and ByCount may be 2 s behind, and
	// ByCount may end after 10,000 topics.
	List(ctx context.Context, listing Listing) (Page, error)

	// Journal hands over the traces of scope from one minute to another, both
	// included, in portions, topic by topic, the oldest of a topic first.
	Journal(ctx context.Context, scope Scope, from, to int64, each func([]JournalEntry) error) error

	// Revert takes back the contributions of journal entries that Journal gave, and
	// forgets the entries. Each entry of a window metric counts 1. In other metrics the
	// newest entry of a member counts for all that the member contributes by now; an entry
	// with a newer one, whatever its source and time, takes back nothing. An entry that is
	// gone changes nothing, so that a revert can be repeated. It returns the entries that
	// counted and the changes that it published, also with an error. With preview nothing
	// changes, and it returns the entries that would count. Entries of a frozen topic are
	// [ErrFrozen].
	Revert(ctx context.Context, traces []JournalEntry, preview bool) (reverted []JournalEntry, changes []Change, err error)

	// Settings returns the entries of a small map that all instances share, and
	// SetRegister sets one; an empty value removes it. SetRegister calls do not undo
	// each other unless they are of one name. SwapRegister sets entries if, at the same
	// moment, the expected ones have the values given (empty: there is none), and reports
	// whether it did. Repeating a swap that was made reports true.
	Settings(ctx context.Context) (map[string]string, error)
	SetSetting(ctx context.Context, name, value string) error
	SwapSettings(ctx context.Context, expected, entries map[string]string) (swapped bool, err error)

	// SwapMark replaces the mark of a topic, which need not exist, if it is from, and returns
	// what it is then: to, or the one that is stored instead. The empty mark is none. A
	// mark ends with its topic.
	SwapMark(ctx context.Context, topic Topic, from, to string) (current string, err error)

	// AppendAudit appends to the audit log; AuditLog returns its entries, the newest first,
	// at most limit, and what to pass as before for those that precede them, empty at
	// the end. Entries are never changed or removed.
	AppendAudit(ctx context.Context, entry AuditEntry) error
	AuditLog(ctx context.Context, before string, limit int) (entries []AuditEntry, next string, err error)

	// Usage returns what each site takes up. It may take seconds.
	Usage(ctx context.Context) ([]SiteUsage, error)

	// WriteHeartbeat stores a heartbeat and adds its writes to the activity of this minute.
	// Heartbeats returns those of the last [HeartbeatTTL], none if the store belongs to one
	// process. Activity returns the writes of each minute since from, oldest first.
	WriteHeartbeat(ctx context.Context, pulse Heartbeat) error
	Heartbeats(ctx context.Context) ([]Heartbeat, error)
	Activity(ctx context.Context, from int64) ([]Activity, error)
}
