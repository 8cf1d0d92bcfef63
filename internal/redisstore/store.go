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

	"github.com/tallycast/tallycast/internal/tally"
)

// Store is a Redis that many instances share. It implements [tally.Store] and
// [tally.Feed] and is safe for concurrent use.
type Store struct {
	// Fixed after Open.
	target   target
	catalog  *tally.Catalog
	options  Options
	names    names
	instance string // names this process in shares, gossip and probes
	// journalKept is Options.Journal in milliseconds, as scripts read it.
	journalKept string
	key         *key
	rules       ruleBook

	fleet *fleet

	stats      counters
	top        gathered
	told       told
	listed     lastListed
	reached    atomic.Bool // some node was found usable once
	lost       ignorance
	voice      voice
	hearing    sync.Mutex  // held while a broadcast is handed over
	broadcasts chan []byte // bounded by queuedBroadcasts; what comes when full is dropped

	homeless *feed // the topics whose slot nobody holds now

	placing sync.RWMutex // whoever holds it for reading may place a topic in a feed
}

var (
	_ tally.Store     = (*Store)(nil)
	_ tally.Feed      = (*Store)(nil)
	_ tally.Refresher = (*Store)(nil)
	_ tally.Ledger    = (*Store)(nil)
)

// Open returns a store at url for the topics of catalog. The URL is one of
//
//	redis://[user:password@]host[:port][/database]
//	redis+sentinel://[user:password@]host[:port],host[:port]/primary[/database]
//	redis+cluster://[user:password@]host[:port],host[:port]
//
// each with rediss in place of redis for TLS (or tls=true as a setting), and with
// the settings wait=N, for what a write is acknowledged only when N replicas have
// it, and skip_verify=true. User and password are those of Redis. A Sentinel is offered
// sentinel_user and sentinel_password, both settings; without them nothing, and those of
// Redis when it asks for some.
//
// Open refuses what can never work and does not wait for Redis: that is for
// [Store.Connect], and for [Store.Run], which connects as often as it must. Close
// ends it.
func Open(url string, catalog *tally.Catalog, options Options) (*Store, error) {
	if options.Prefix == "" {
		options.Prefix = defaultPrefix
	}
	if options.TopEvery == 0 {
		options.TopEvery = defaultTopEvery
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Journal < 0 || options.Journal > MaxJournal {
		return nil, fmt.Errorf("the journal of contributions is kept for 0 to %d days, not %s", MaxJournal/day, options.Journal)
	}
	target, err := parseURL(url, options)
	if err != nil {
		return nil, err
	}
	names, err := newNames(options.Prefix, target.settings.DB)
	if err != nil {
		return nil, err
	}
	quietLibrary()
	s := &Store{
		target:      target,
		catalog:     catalog,
		options:     options,
		names:       names,
		instance:    randomHex(8),
		journalKept: strconv.FormatInt(options.Journal.Milliseconds(), 10),
		key:         newKey(options.Secret),
		top:         gathered{every: options.TopEvery, topics: map[tally.Topic]tally.Change{}, ended: map[tally.Topic]int64{}},
		broadcasts:  make(chan []byte, queuedBroadcasts),
		homeless:    newFeed(),
	}
	s.top.write = s.rankSoon
	switch target.shape {
	case standalone:
		s.fleet = newFleet(s.newNode, nil)
		s.fleet.install(wholly(target.addrs[0]))
	case sentinel:
		s.fleet = newFleet(s.newNode, &sentinels{store: s, master: target.master, clients: map[string]sentinelClient{}})
	case cluster:
		s.fleet = newFleet(s.newNode, &members{store: s, clients: map[string]*redis.Client{}})
	}
	return s, nil
}

// String names the store without telling its password.
func (s *Store) String() string { return s.target.String() }

// Close ends all connections. Run must have returned.
func (s *Store) Close() error {
	s.broadcastLast()
	s.top.close()
	s.rankLast()
	s.fleet.close()
	return nil
}

// Lane implements [tally.Store]: the address of the node that holds the topic, empty
// where none is known.
func (s *Store) Lane(topic tally.Topic) string {
	c := s.fleet.chart()
	if c.only != nil {
		return c.only.addr
	}
	if n := c.of(s.names.count(topic)); n != nil {
		return n.addr
	}
	return ""
}

// Secret implements [tally.Store].
func (s *Store) Secret() ([]byte, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.key.get(), nil
}

// Health implements [tally.Store]. With several nodes, what is wrong with one of
// them is said of the store, and names it.
func (s *Store) Health() tally.Health {
	c := s.fleet.chart()
	if s.target.shape == standalone {
		return c.only.status.health()
	}
	health := tally.Health{Reached: s.reached.Load()}
	for _, n := range c.nodes {
		h := n.status.health()
		if h.Conflict != nil && health.Conflict == nil {
			health.Conflict = fmt.Errorf("%s: %w", n.addr, h.Conflict)
		}
		if h.Err != nil && health.Err == nil {
			health.Err = fmt.Errorf("%s: %w", n.addr, h.Err)
		}
		for _, warning := range h.Warnings {
			health.Warnings = append(health.Warnings, n.addr+": "+warning)
		}
	}
	if err := s.lost.get(); err != nil {
		if len(c.nodes) == 0 {
			health.Err = err
		} else {
			health.Warnings = append(health.Warnings, "nobody tells which node is the primary: "+err.Error())
		}
	}
	return health
}

// usable returns why the store must not be used: it was never found usable, or
// there is a conflict. A store that is away is tried.
func (s *Store) usable() error {
	nodes := s.fleet.chart().nodes
	for _, n := range nodes {
		health := n.status.health()
		switch {
		case health.Conflict != nil:
			return tally.Unavailable(health.Conflict)
		case s.reached.Load():
		case health.Err != nil:
			return tally.Unavailable(health.Err)
		}
	}
	if !s.reached.Load() {
		return tally.Unavailable(cmp.Or(s.lost.get(), errNotReached))
	}
	return nil
}

// randomHex returns 2n random hex digits.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// quietLibrary keeps go-redis from writing to standard error on its own: what it
// would say arrives as errors too.
var quietLibrary = sync.OnceFunc(func() { redis.SetLogger(mute{}) })

type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}
