package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
	"github.com/tallycast/tallycast/internal/testkit/storetest"
)

// parallel is how many tests run at the same time. Most of them wait for Redis, leases and
// timeouts.
const parallel = 6

// The library's goroutine that looks out for a Redis that is away sleeps for a second
// before it sees that its pool was closed.
func TestMain(m *testing.M) {
	if err := storetest.Checks(30); err != nil { // on each of four shapes
		panic(err)
	}
	processtest.SetParallel(parallel)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// testIntervals make probes frequent, since most tests wait for them.
var testIntervals = redisstore.Intervals{Watched: time.Second, Idle: time.Second, Gains: 10 * time.Millisecond}

// storeConfig is how to open a store. server is nil if there are several.
type storeConfig struct {
	server  *redistest.Server
	url     string
	options redisstore.Options
	advance func(time.Duration) // moves the server's clock; nil if it does not
}

var prefixNumber atomic.Int64

// open returns a store, which is closed at the end of the test. Stores of one prefix share
// their data.
func (c storeConfig) open(t testing.TB, catalog *tally.Catalog, prefix string) *redisstore.Store {
	t.Helper()
	options := c.options
	options.Prefix = prefix
	if options.Intervals == (redisstore.Intervals{}) {
		options.Intervals = testIntervals
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.NewTextHandler(testLog{t}, nil))
	}
	if c.server != nil {
		options.RootCAs = c.server.RootCAs
	}
	store, err := redisstore.Open(c.url, catalog, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// connect opens a store and waits until it is usable.
func (c storeConfig) connect(t testing.TB, catalog *tally.Catalog, prefix string) *redisstore.Store {
	t.Helper()
	store := c.open(t, catalog, prefix)
	processtest.Eventually(t, "the store is usable", func() bool { // a Cluster may take longer than the store waits
		err := store.Connect(context.Background())
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	return store
}

// testLog writes a store's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Logf("%s", text)
	return len(text), nil
}

// newPrefix returns a new prefix.
func newPrefix() string { return fmt.Sprintf("test%d", prefixNumber.Add(1)) }

func (c storeConfig) factory() storetest.Factory {
	return func(t testing.TB, options storetest.Options) *storetest.Fixture {
		prefix := newPrefix()
		c := c
		c.options.Secret = options.Secret
		c.options.TopInterval = 50 * time.Millisecond // the suite waits for it often
		c.options.Timeout = processtest.Timeout
		c.options.Journal, c.options.History = options.Journal, options.History
		first, second := c.connect(t, options.Catalog, prefix), c.connect(t, options.Catalog, prefix)
		return &storetest.Fixture{
			First:   first,
			Second:  second,
			Advance: c.advance,
			Reopen: func(t testing.TB) storetest.Store {
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				if err := second.Close(); err != nil {
					t.Fatal(err)
				}
				return c.connect(t, options.Catalog, prefix)
			},
		}
	}
}

// Calls that go to several nodes are tested on each shape, the others on one.
func TestConformance_Sentinels(t *testing.T) {
	t.Parallel()
	storetest.RunShape(t, storeConfig{url: redistest.StartSentinels(t, redistest.Options{}).URL(2) + "?wait=1"}.factory())
}

func TestConformance_Cluster(t *testing.T) {
	t.Parallel()
	storetest.RunShape(t, storeConfig{url: redistest.StartCluster(t, false).URL()}.factory())
}

// rights are all that a user needs.
const rights = "-@all +evalsha +script|load +time +set +get +hget +hmget +hgetall +hset +hdel +pexpire +pexpireat" +
	" +hincrby +hlen +hscan +unlink +append +getrange +setrange +xadd +xrevrange" +
	" +zadd +zcard +zscore +zrange +zrem +scan +publish +subscribe +unsubscribe +info +ping +hello +auth +select"

// The whole suite runs over TLS, in another database, as a user without further rights.
func TestConformance_Standalone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{
		TLS: true, Password: "root",
		Users: []string{"app on >a:p@ss ~test* &test* " + rights},
	})
	storetest.Run(t, storeConfig{server: server, url: server.URLAs("app", "a:p@ss", 3)}.factory())
}

// The clock of this server moves, so no other test uses it.
func TestConformance_History(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Clock: true, Users: []string{"app on >app ~test* &test* " + rights}})
	var ahead time.Duration
	storetest.RunHistory(t, storeConfig{server: server, url: server.URLAs("app", "app", 0), advance: func(d time.Duration) {
		ahead += d
		server.SetClock(ahead)
	}}.factory())
}
