package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// Store is a Redis that many instances share. It implements [tally.Store] and
// [tally.Feed] and is safe for concurrent use.
type Store struct {
	// Fixed after Open.
	client   redis.UniversalClient
	settings *redis.Options
	catalog  *tally.Catalog
	options  Options
	names    names
	instance string // names this process in shares, gossip and probes
	key      *key

	clock  clock
	status status
	stats  counters
	top    gathered
	feed   *feed
}

var (
	_ tally.Store = (*Store)(nil)
	_ tally.Feed  = (*Store)(nil)
)

// Open returns a store at url, which is redis:// or rediss://, for the topics of
// catalog. It refuses what can never work and does not wait for Redis: that is
// for [Store.Connect], which [Store.Run] calls as often as it must. Close ends it.
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
	settings, err := parseURL(url, options)
	if err != nil {
		return nil, err
	}
	names, err := newNames(options.Prefix, settings.DB)
	if err != nil {
		return nil, err
	}
	quietLibrary()
	s := &Store{
		settings: settings,
		catalog:  catalog,
		options:  options,
		names:    names,
		instance: randomHex(8),
		key:      newKey(options.Secret),
		status:   status{log: options.Logger.With("store", settings.Addr)},
		top:      gathered{topics: map[tally.Topic]tally.Change{}},
		feed:     newFeed(),
	}
	settings.OnConnect = s.greetConnection
	s.client = redis.NewClient(settings)
	return s, nil
}

// String names the store without telling its password.
func (s *Store) String() string { return "redis at " + s.settings.Addr }

// Close ends all connections. Run must have returned.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close the Redis store: %w", err)
	}
	return nil
}

// Lane implements [tally.Store]. A single Redis is one node.
func (s *Store) Lane(tally.Topic) string { return s.settings.Addr }

// Secret implements [tally.Store].
func (s *Store) Secret() ([]byte, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.key.get(), nil
}

// Health implements [tally.Store].
func (s *Store) Health() tally.Health { return s.status.health() }

// usable returns why the store must not be used: it was never found usable, or
// there is a conflict. A store that is away is tried.
func (s *Store) usable() error {
	health := s.status.health()
	switch {
	case health.Conflict != nil:
		return tally.Unavailable(health.Conflict)
	case !health.Reached && health.Err != nil:
		return tally.Unavailable(health.Err)
	case !health.Reached:
		return tally.Unavailable(errNotReached)
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
