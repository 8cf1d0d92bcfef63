package tally

import (
	"context"
	"time"
)

// Ledger is the owner's interface of a store. Callers take the parts that they use. Methods
// may be called concurrently with each other and with those of [Store]. Each change of a
// count has a new version and is published once. Results without an error are durable. The
// error is an [Error] with [CodeStoreUnavailable] if the store cannot answer.
type Ledger interface {
	Editor
	Lister
	Dumper
	Restorer
	JournalStore
	SettingsStore
	MarkStore

	// AppendAudit appends at most [MaxAuditBatch] entries to the audit log in their order, all or
	// none. Entries are never changed or removed.
	AppendAudit(ctx context.Context, entries ...AuditEntry) error

	// AuditLog returns at most limit entries, the newest first, and the cursor to pass as
	// before for older ones, empty at the end.
	AuditLog(ctx context.Context, before string, limit int) (entries []AuditEntry, next string, err error)

	// WriteHeartbeat stores a heartbeat and adds its writes to the activity of this minute.
	WriteHeartbeat(ctx context.Context, heartbeat Heartbeat) error

	// Heartbeats returns the last heartbeat of each running instance. It lasts for
	// [HeartbeatTTL], or as long as a [HeartbeatCarrier] decides. A store of one process
	// returns none.
	Heartbeats(ctx context.Context) ([]Heartbeat, error)

	// Activity returns the writes of each minute since from, the oldest first.
	Activity(ctx context.Context, from int64) ([]Activity, error)

	// Usage returns what each site stores, from a measurement at most maxAge old, which may
	// be another instance's. With maxAge 0 the call measures. That may take seconds.
	Usage(ctx context.Context, maxAge time.Duration) (Usage, error)

	// Contributions returns what the members of the queries contribute, 0 for nothing. It is
	// for searches of many topics: a member contributes to few of them.
	Contributions(ctx context.Context, queries []Query) ([]int64, error)
}

// Editor edits topics.
type Editor interface {
	// Edit applies the edits, each atomically, those of one topic in their order. It may
	// reset or delete a large topic in steps, of which only the last is visible.
	Edit(ctx context.Context, edits []Edit)
}

// Dumper reads all stored data of topics.
type Dumper interface {
	// Dump calls each with portions of the topics of scope, except those of presence metrics.
	// Visitors may write during the call, and memory does not grow with the store. The count
	// of each topic agrees with its portions, see [Portion]. They have every contribution that
	// was acknowledged before the call and not taken back since. Dump ends with the first
	// error that each returns.
	Dump(ctx context.Context, scope Scope, each func(Portion) error) error
}

// Restorer stores the portions of a [Dumper].
type Restorer interface {
	// Restore stores portions, those of one topic in their order. It may be repeated. With
	// replace, the First portion of a topic replaces the stored data. Without, the store keeps
	// the greater seed, adjustment, amount of each member, and sum of a window metric. The new
	// version is above the stored one and not below the portion's. The error is [ErrFrozen]
	// for a topic that does not admit the portion's mark.
	Restore(ctx context.Context, replace bool, portions []Portion) error
}

// JournalEntry is a recent contribution that increased what a member contributes.
type JournalEntry struct {
	Topic    Topic
	Member   Member
	Minute   int64 // minutes since the Unix epoch, by the store's clock
	Source   Source
	Position string // identifies the entry in its store, for Revert
}

// RevertMode selects what a revert changes.
type RevertMode int

const (
	RevertPast    RevertMode = iota // the count, and the history since each contribution
	RevertPresent                   // the count only: the contributions were genuine
)

// JournalStore keeps recent contributions.
type JournalStore interface {
	// Journal calls each with the entries of scope between two minutes, both included: topic
	// by topic, the oldest entry of a topic first. The entries are valid until each returns.
	Journal(ctx context.Context, scope Scope, from, to int64, each func([]JournalEntry) error) error

	// SearchJournal is Journal for searches, which are repeated: if it can, it looks only at
	// topics that changed since from. It may lack entries that are some seconds old, and, until
	// the store has repaired its projections, those of an instance that was killed.
	SearchJournal(ctx context.Context, scope Scope, from, to int64, each func([]JournalEntry) error) error

	// Revert takes back the contributions of journal entries and removes the entries. In a
	// window metric each entry counts 1. In others the newest entry of a member takes back
	// all that the member contributes now, and older ones nothing. It ignores entries that
	// are gone, so that it can be repeated, and returns, also with an error, the entries
	// that took something back and the published changes. The error is [ErrFrozen] for
	// entries of a frozen topic.
	Revert(ctx context.Context, entries []JournalEntry, mode RevertMode) (reverted []JournalEntry, changes []Change, err error)
}

// SettingsReader reads the settings.
type SettingsReader interface {
	// Settings returns the settings of these names that are set, or all if no name is given.
	// All instances share them.
	Settings(ctx context.Context, names ...string) (map[string]string, error)
}

// SettingsStore keeps the settings.
type SettingsStore interface {
	SettingsReader

	// SwapSettings atomically sets entries if the expected settings have these values, and
	// reports whether it did. The empty value stands for a missing setting. SwapSettings
	// reports true if entries are set already, so that it can be repeated.
	SwapSettings(ctx context.Context, expected, entries map[string]string) (swapped bool, err error)
}

// SetSetting sets one setting; an empty value removes it.
func SetSetting(ctx context.Context, store SettingsStore, name, value string) error {
	_, err := store.SwapSettings(ctx, nil, map[string]string{name: value})
	return err
}

// MarkStore keeps the marks of topics, see [AliasMark] and [FrozenMark].
type MarkStore interface {
	// SwapMark replaces the mark of a topic if it is from, and returns the mark that the topic
	// then has. The empty mark is no mark. The topic need not exist. Deleting it removes the mark.
	SwapMark(ctx context.Context, topic Topic, from, to string) (current string, err error)
}

// MaxAuditBatch is the most entries of one call of AppendAudit: a millisecond or two of Redis.
const MaxAuditBatch = 250

// AuditEntry records one action of an owner.
type AuditEntry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`  // such as "admin 203.0.113.7" or "tallycast import"
	Action string    `json:"action"` // such as "set", "undo", "import"
	Target string    `json:"target"` // a topic, a scope, a source
	Detail string    `json:"detail"` // the effect, for people
	// Sites are the sites that the action concerned, separated by spaces. It is empty if the
	// action may have concerned all, and in entries of releases that did not record sites.
	Sites string `json:"-"`
	// Position is the cursor for older entries. A store sets it in entries that it returns.
	Position string `json:"-"`
}

// Usage is what each site stores, by name.
type Usage struct {
	Sites []SiteUsage
	Age   time.Duration // since the measurement began
	Took  time.Duration // to measure it
}

// SiteUsage is what a site stores. Bytes, of disk or memory, may be an estimate.
type SiteUsage struct {
	Site          string `json:"site"`
	Topics        int64  `json:"topics"`
	Contributions int64  `json:"contributions"`
	Bytes         int64  `json:"bytes"`
}

const (
	// HeartbeatInterval is the time between two heartbeats of an instance whose store is no
	// [HeartbeatCarrier].
	HeartbeatInterval = 5 * time.Second
	// HeartbeatTTL is how long such an instance is listed after a heartbeat.
	HeartbeatTTL = 3 * HeartbeatInterval
	// ActivityRetention is how long the writes of each minute are kept.
	ActivityRetention = 48 * time.Hour
)

// Heartbeat is what an instance reports about itself.
type Heartbeat struct {
	Instance string // random, for the life of the process
	Status   []byte // JSON; the store does not read it
	// Writes counts, by site, the contributions that changed through this instance since the
	// last heartbeat that it knows to be stored. Totals counts those since it started: even if it does
	// not know that a heartbeat was stored, Redis counts each contribution once.
	Writes, Totals map[string]int64
	// Last is true if the instance ends. Then it is no longer listed.
	Last bool
}

// Activity is the number of contributions to a site that changed within a minute.
type Activity struct {
	Site   string `json:"site"`
	Minute int64  `json:"minute"` // minutes since the Unix epoch
	Writes int64  `json:"writes"`
}

// HeartbeatCarrier is a [Ledger] that sends heartbeats with its regular commands, at
// its own intervals. A heartbeat lasts until after the next one is due.
type HeartbeatCarrier interface {
	// CarryHeartbeats sets the functions that the store calls while its feed runs: next
	// returns a heartbeat to store, and stored receives one that was stored. They must not
	// block.
	CarryHeartbeats(next func() Heartbeat, stored func(Heartbeat))
}

// SettingsFollower is a [SettingsReader] that notices changes by itself.
type SettingsFollower interface {
	// SettingsChanged holds a token after the settings may have changed, while the feed of the
	// store runs.
	SettingsChanged() <-chan struct{}
}
