package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Store is a Redis that many instances share. It implements [tally.Store] and
// [tally.Feed] and is safe for concurrent use.
type Store struct {
	// Fixed after Open.
	catalog          *tally.Catalog
	options          Options
	names            names
	instance         string // identifies this process in shares, broadcasts and probes
	noWindow         string // for scripts: the window 0, and Options.Journal in milliseconds
	historyRetention string // Options.History in days, for scripts
	secret           *secretKey
	rules            ruleCache

	reader                    // of the primary or the Cluster; its client sends nothing unless the store is usable
	startClient *redis.Client // as client, but also sends before the store is usable
	replica     *replica      // nil without one

	// carried is nil until [Store.CarryHeartbeats].
	carried       atomic.Pointer[carriedHeartbeats]
	isAlone       atomic.Bool // see [Store.IsAlone]
	settingsState settingsState
	seeds         seedMarks

	stats        counters
	ranks        pendingChanges
	gains        pendingChanges    // of the topics whose gains are to be updated
	computations *gainComputations // of gains
	repairs      repairs
	scanCache    scanCache
	wasUsable    atomic.Bool // a node was usable at some time
	liveState    liveState
	receiving    sync.Mutex  // held while a broadcast is delivered
	broadcasts   chan []byte // queued; more are dropped when it is full

	feedLive   chan struct{} // holds a token after the feed of a node became live
	unassigned *feed         // the watched topics whose slot has no known node

	// reassigning is held for writing while topics move between feeds, and for reading while
	// one is watched or unwatched.
	reassigning sync.RWMutex
	// Guarded by reassigning: where watched topics are.
	followed  *redistopology.SlotMap
	atReplica bool
}

var (
	_ tally.Store   = (*Store)(nil)
	_ tally.Feed    = (*Store)(nil)
	_ tally.Distant = (*Store)(nil)
	_ tally.Ledger  = (*Store)(nil)

	_ tally.HeartbeatCarrier = (*Store)(nil)
)

// Open returns a store at url for the topics of catalog. The URL is one of
//
//	redis://[user:password@]host[:port][/database]
//	redis+sentinel://[user:password@]host[:port],host[:port]/primary[/database]
//	redis+cluster://[user:password@]host[:port],host[:port]
//
// each with rediss instead of redis, or with ?tls=true, for TLS. With ?wait=N a write is
// acknowledged only when N replicas have it; ?skip_verify=true does not verify certificates.
// User and password are those of Redis. Sentinels get sentinel_user and sentinel_password,
// which are settings too; without them none, and those of Redis if they require some.
//
// Open does not connect: [Store.Connect] does, and [Store.Run] whenever it is necessary.
func Open(url string, catalog *tally.Catalog, options Options) (*Store, error) {
	options.TopInterval = cmp.Or(options.TopInterval, defaultTopInterval)
	options.Intervals = options.Intervals.withDefaults()
	options.Timeout = cmp.Or(options.Timeout, redistopology.Timeout)
	options.Logger = cmp.Or(options.Logger, slog.Default())
	if options.Journal < 0 || options.Journal > MaxJournal {
		return nil, fmt.Errorf("the journal can be kept for 0 to %d days, not %s", MaxJournal/redistopology.Day, options.Journal)
	}
	if err := tally.ValidateHistory(options.History); err != nil {
		return nil, fmt.Errorf("the history: %w", err)
	}
	s := &Store{
		catalog:          catalog,
		options:          options,
		instance:         randomHex(8),
		noWindow:         "0 " + strconv.FormatInt(options.Journal.Milliseconds(), 10),
		historyRetention: strconv.FormatInt(int64(options.History/redistopology.Day), 10),
		secret:           newSecretKey(options.Secret),
		ranks:            pendingChanges{interval: options.TopInterval, topics: map[tally.Topic]pendingChange{}},
		gains:            pendingChanges{interval: options.Intervals.Gains, topics: map[tally.Topic]pendingChange{}},
		computations:     newGainComputations(),
		broadcasts:       make(chan []byte, maxQueuedBroadcasts),
		feedLive:         make(chan struct{}, 1),
		settingsState:    settingsState{changed: make(chan struct{}, 1)},
		repairs:          repairs{due: make(chan struct{}, 1)},
	}
	s.unassigned = newFeed(s.isPresence, options.Intervals)
	s.ranks.flush = func() { s.flushRanks(s.options.Timeout) }
	s.gains.flush = func() { s.flushGains(s.options.Timeout) }
	s.computations.compute = s.computeHour
	var err error
	s.topology, err = redistopology.Open(url, redistopology.Options{
		RootCAs: options.RootCAs, Scripts: allScripts, Logger: options.Logger, Timeout: options.Timeout,
		NewNode: s.newNode, Verify: s.verifyConnection,
		Failing:   func(n *redistopology.Node) bool { return nodeOf(n).status.health().Err != nil },
		RoundTrip: s.stats.roundTrips.Observe,

		SampleClock: s.sampleClock, CountCommand: s.stats.commands.count,
	})
	if err != nil {
		return nil, err
	}
	if s.names, err = newNames(cmp.Or(options.Prefix, defaultPrefix), s.topology.Database()); err != nil {
		s.topology.Close()
		return nil, err
	}
	s.followed = s.topology.SlotMap()
	s.store, s.client = s, s.topology.NewClient(s.checkUsable)
	s.startClient = s.topology.NewClient(func() error { return nil })
	if options.ReplicaURL != "" {
		if s.replica, err = s.newReplica(options.ReplicaURL); err != nil {
			s.topology.Close()
			return nil, err
		}
	}
	return s, nil
}

// String describes the store without its password.
func (s *Store) String() string { return s.topology.String() }

// Close ends all connections. Run must have returned.
func (s *Store) Close() error {
	for len(s.broadcasts) > 0 { // of a command, which does not run sendBroadcasts
		s.publishBroadcasts(context.Background(), <-s.broadcasts)
	}
	s.ranks.close()
	s.gains.close()
	s.computations.close()
	s.flushRanks(lastRanksTimeout)
	s.flushGains(lastRanksTimeout)
	s.topology.Close()
	if s.replica != nil {
		s.replica.topology.Close()
	}
	return nil
}

// Lane implements [tally.Store]: it returns the address of the node that holds the topic,
// empty if none is known.
func (s *Store) Lane(topic tally.Topic) string {
	if n := s.topicNode(s.topology.SlotMap(), topic); n != nil {
		return n.Addr
	}
	return ""
}

// topicNode returns the node that holds a topic, nil if none is known.
func (s *Store) topicNode(m *redistopology.SlotMap, topic tally.Topic) *redistopology.Node {
	if n := m.Single(); n != nil {
		return n // without the name of a key
	}
	return m.Node(s.names.count(topic))
}

func (s *Store) isPresence(topic tally.Topic) bool {
	return s.catalog.Rule(topic).Kind == tally.Presence
}

// Secret implements [tally.Store].
func (s *Store) Secret() ([]byte, error) {
	if err := s.checkUsable(); err != nil {
		return nil, err
	}
	return s.secret.get(), nil
}

// Health implements [tally.Store]. With several nodes it reports the problems of each, with
// its address.
func (s *Store) Health() tally.Health {
	nodes := s.nodes()
	if s.topology.IsStandalone() {
		health := nodes[0].status.health()
		health.Replica = s.replica.health()
		return health
	}
	health := tally.Health{Reached: s.wasUsable.Load(), Replica: s.replica.health()}
	for _, n := range nodes {
		h := n.status.health()
		if h.Conflict != nil && health.Conflict == nil {
			health.Conflict = fmt.Errorf("%s: %w", n.Addr, h.Conflict)
		}
		if h.Err != nil && health.Err == nil {
			health.Err = fmt.Errorf("%s: %w", n.Addr, h.Err)
		}
		for _, warning := range h.Warnings {
			health.Warnings = append(health.Warnings, n.Addr+": "+warning)
		}
	}
	if err := s.topology.LocateErr(); err != nil {
		if len(nodes) == 0 {
			health.Err = err
		} else {
			health.Warnings = append(health.Warnings, "cannot find the primary: "+err.Error())
		}
	}
	return health
}

// checkUsable returns why the store must not be used: it was never usable, or there is a
// conflict. A store that is away may be used: it may have returned.
func (s *Store) checkUsable() error {
	for _, n := range s.topology.SlotMap().Nodes() {
		health := nodeOf(n).status.health()
		switch {
		case health.Conflict != nil:
			return tally.Unavailable(health.Conflict)
		case s.wasUsable.Load():
		case health.Err != nil:
			return tally.Unavailable(health.Err)
		}
	}
	if !s.wasUsable.Load() {
		return tally.Unavailable(cmp.Or(s.topology.LocateErr(), errNotReached))
	}
	return nil
}

// randomHex returns 2n random hex digits.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
