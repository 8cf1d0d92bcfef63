package owner

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Store is the part of a store that a [Service] uses. It uses each method of the ledger.
type Store interface {
	tally.Reader
	tally.HistoryReader
	tally.SecretSource
	Health() tally.Health
	tally.Ledger
}

// Options configure a [Service]. Each may be left out.
type Options struct {
	// Broadcast sends a payload to the other instances and does not block. Without it they
	// notice changed settings as described at [settingsInterval].
	Broadcast func(payload []byte)
	// Status returns what this instance reports about itself. It does no I/O.
	Status func() InstanceStatus
	// JournalRetention is how long the store keeps journal entries. [Service.Spikes]
	// derives the usual number of contributions from them. Default: a week.
	JournalRetention time.Duration
	// LeaseTime is the time after which another instance takes over a merge whose instance stopped.
	// Default: [defaultLeaseTime].
	LeaseTime time.Duration
	// MaxReverted is how many journal entries a revert holds in memory. Default:
	// [defaultMaxReverted].
	MaxReverted int
	Log         *slog.Logger     // default: slog.Default()
	Now         func() time.Time // default: time.Now
}

// Service carries out the owner's use cases, in all sites or [Service.Within] some. It is
// safe for concurrent use.
type Service struct {
	// fixed after construction
	store            Store
	service          *tally.Service
	catalog          *tally.Catalog
	broadcast        func([]byte)
	status           func() InstanceStatus
	journalRetention time.Duration
	leaseTime        time.Duration
	maxReverted      int
	log              *slog.Logger
	now              func() time.Time
	instance         string   // random, for the life of the process
	root             *Service // of all sites; see [Service.Within]
	sites            []string // sorted; nil: all

	settingsChanged chan struct{} // wakes followSettings; capacity 1
	usageOutdated   chan struct{} // wakes measureUsage; capacity 1
	abandonedClaims chan []string // values of abandoned claims; capacity 1

	heartbeats   *heartbeats
	settings     *followedSettings
	claims       *claims
	usage        *atomic.Pointer[usageSnapshot]
	spikes       *spikeCache
	pendingAudit *pendingAudit
}

// New returns a Service on store. service follows the settings that this Service changes and, while
// [Service.Run] runs, the settings that other instances change.
func New(store Store, service *tally.Service, o Options) *Service {
	s := &Service{
		store:            store,
		service:          service,
		catalog:          service.Catalog(),
		broadcast:        o.Broadcast,
		status:           o.Status,
		journalRetention: cmp.Or(o.JournalRetention, 7*24*time.Hour),
		leaseTime:        cmp.Or(o.LeaseTime, defaultLeaseTime),
		maxReverted:      cmp.Or(o.MaxReverted, defaultMaxReverted),
		log:              cmp.Or(o.Log, slog.Default()),
		now:              o.Now,
		instance:         rand.Text(),

		settingsChanged: make(chan struct{}, 1),
		usageOutdated:   make(chan struct{}, 1),
		abandonedClaims: make(chan []string, 1),

		heartbeats:   &heartbeats{sent: map[string]int64{}},
		settings:     newFollowedSettings(),
		claims:       &claims{seen: map[string]*seenClaim{}},
		usage:        &atomic.Pointer[usageSnapshot]{},
		spikes:       &spikeCache{searches: map[searchKey]*search{}},
		pendingAudit: &pendingAudit{},
	}
	s.root = s
	s.usage.Store(&usageSnapshot{})
	if s.broadcast == nil {
		s.broadcast = func([]byte) {}
	}
	if s.status == nil {
		s.status = func() InstanceStatus { return InstanceStatus{} }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if carrier, ok := store.(tally.HeartbeatCarrier); ok { // must precede the run of the store's feed
		carrier.CarryHeartbeats(s.nextHeartbeat, s.setHeartbeatStored)
	}
	return s
}

// notify sends to a channel of capacity 1 unless it is full.
func notify(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// Get returns the state of a topic; its version is 0 if the topic does not exist.
// Errors: [tally.CodeUnknownSite], [tally.CodeUnknownMetric],
// [tally.CodeReadOnlyMetric], [tally.CodeStoreUnavailable].
func (s *Service) Get(ctx context.Context, topic tally.Topic) (tally.State, error) {
	if err := s.catalog.CheckEditable(topic); err != nil {
		return tally.State{}, err
	}
	state, err := tally.StateOf(ctx, s.store, topic)
	if err == nil && state.Version == 0 {
		state = s.catalog.Rule(topic).EmptyState(topic)
	}
	return state, err
}
