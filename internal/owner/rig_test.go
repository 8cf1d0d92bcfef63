package owner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// testTimeout bounds every wait of these tests.
const testTimeout = 20 * time.Second

// leaks are goroutines of go-redis that end by themselves: they sleep for a second between
// attempts to reach a server.
var leaks = goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")

// fullStore is a store as an instance uses it.
type fullStore interface {
	tally.Store
	tally.Ledger
	tally.Feed
	Close() error
}

func catalog() *tally.Catalog {
	metrics := tally.DefaultMetrics()
	// A window that does not end during a test.
	metrics["visits"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 1 << 20 * time.Hour}
	return tally.NewCatalog([]string{"blog", "docs"}, metrics)
}

// topInterval is how far lists may be behind.
const topInterval = 20 * time.Millisecond

const journal = 7 * 24 * time.Hour

// stores is two stores on the same data. They are the same if one process holds the data.
type stores struct {
	first, second fullStore
	url           string // for another process, after both stores are closed
	// reopen opens a store again after it was closed.
	reopen func(t testing.TB) fullStore
}

// onEachStore runs a test on SQLite and on Redis, in parallel.
func onEachStore(t *testing.T, test func(t *testing.T, w *stores)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, onSQLite(t))
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		test(t, onRedis(t))
	})
}

func onSQLite(t testing.TB) *stores {
	path := filepath.Join(t.TempDir(), "tally.db")
	again := func(t testing.TB) fullStore {
		t.Helper()
		store, err := openSQLite(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	store := again(t)
	return &stores{first: store, second: store, url: path, reopen: again}
}

func openSQLite(path string) (fullStore, error) {
	return sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Journal: journal, History: tally.MaxHistory, TopInterval: topInterval})
}

func onRedis(t testing.TB) *stores {
	return onDatabase(t, redistest.Start(t, redistest.Options{}), 0)
}

// onDatabase returns stores on a database of a server, which tests may share.
func onDatabase(t testing.TB, server *redistest.Server, database int) *stores {
	url := server.URL(database)
	again := func(t testing.TB) fullStore {
		t.Helper()
		store, err := openRedis(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	return &stores{first: again(t), second: again(t), url: url, reopen: again}
}

func openRedis(url string) (fullStore, error) {
	store, err := redisstore.Open(url, catalog(), redisstore.Options{
		Journal: journal, History: tally.MaxHistory, Logger: slog.New(slog.DiscardHandler), Timeout: testTimeout,
		TopInterval: topInterval, Intervals: redisstore.Intervals{Gains: topInterval},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	return store, store.Connect(ctx)
}

// instance is an owner service and the service that follows its settings.
type instance struct {
	*owner.Service
	service *tally.Service
}

func open(store fullStore) *instance { return openWith(store, owner.Options{}) }

func openWith(store fullStore, o owner.Options) *instance {
	if o.LeaseTime == 0 {
		o.LeaseTime = 2 * time.Second // a killed merge is continued after it
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	service := tally.NewService(store, catalog())
	return &instance{owner.New(store, service, o), service}
}

var topicNumber atomic.Int64

// newTopic returns a topic that no other test uses.
func newTopic(metric string) tally.Topic {
	return topic("blog/" + metric + "/page-" + fmt.Sprint(topicNumber.Add(1)))
}

func topic(text string) tally.Topic {
	topic, err := tally.ParseTopic(text)
	if err != nil {
		panic(err)
	}
	return topic
}

func visitor(n int) string { return fmt.Sprintf("visitor-%d", n) }

// readerAddress is the address of a reader.
var readerAddress = netip.MustParseAddr("198.51.100.7")

// contribute asserts amount until it is acknowledged.
func (o *instance) contribute(t testing.TB, topic tally.Topic, visitor string, amount int64, from netip.Addr) tally.Result {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(time.Millisecond) {
		result, err := o.service.Assert(context.Background(), tally.Assertion{
			Topic: topic, Visitor: visitor, Amount: amount, Client: from, MayCreate: true,
		})
		var coded *tally.Error
		switch {
		case err == nil:
			return result
		case !errors.As(err, &coded) || coded.Code != tally.CodeStoreUnavailable || time.Now().After(deadline):
			t.Errorf("%s by %s: %v", topic, visitor, err)
			return result
		}
	}
}

func (o *instance) like(t testing.TB, topic tally.Topic, visitor string) tally.Result {
	t.Helper()
	return o.contribute(t, topic, visitor, 1, readerAddress)
}

// mine returns the contribution of a visitor.
func (o *instance) mine(t testing.TB, topic tally.Topic, visitor string) int64 {
	t.Helper()
	readings, err := o.service.Read(context.Background(), []tally.Topic{topic}, visitor)
	if err != nil || readings[0].Err != nil {
		t.Fatal(err, readings)
	}
	return readings[0].Mine
}

func (o *instance) state(t testing.TB, topic tally.Topic) tally.State {
	t.Helper()
	state, err := o.Get(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (o *instance) counts(t testing.TB, topic tally.Topic, want int64) {
	t.Helper()
	if state := o.state(t, topic); state.Count != want {
		t.Errorf("%s counts %d, want %d (%+v)", topic, state.Count, want, state)
	}
}

// gained checks the gain of a topic by its history.
func (o *instance) gained(t testing.TB, topic tally.Topic, want int64) {
	t.Helper()
	h, err := o.service.History(t.Context(), topic, tally.Hour)
	if got := h.Gain(tally.Since24h); err != nil || got != want {
		t.Errorf("by its history %s gained %d, %v; want %d", topic, got, err, want)
	}
}

// gains waits until the list of gains has the topic with want, which its history must have too,
// and none of its former names.
func (o *instance) gains(t testing.TB, topic tally.Topic, want int64, former ...tally.Topic) {
	t.Helper()
	o.gained(t, topic, want)
	processtest.Eventually(t, fmt.Sprintf("%s gained %d", topic, want), func() bool {
		gains, _, err := o.service.TopGains(t.Context(), topic.Site(), topic.Metric(), tally.Since24h, 100)
		got := int64(0)
		for _, r := range gains {
			if slices.Contains(former, r.Topic) {
				return false
			}
			if r.Topic == topic {
				got = r.Gain
			}
		}
		return err == nil && got == want
	})
}

// mergeAll merges topics into another and repeats that while the store is unavailable.
func (o *instance) mergeAll(t testing.TB, to tally.Topic, from ...tally.Topic) tally.Change {
	t.Helper()
	for deadline := time.Now().Add(2 * testTimeout); ; {
		change, err := o.Merge(t.Context(), "test", from, to)
		if err == nil {
			return change
		}
		if code(err) != tally.CodeStoreUnavailable || time.Now().After(deadline) {
			t.Errorf("merge into %s: %v", to, err)
			return change
		}
	}
}

// edit carries out one edit, which must succeed.
func (o *instance) edit(t testing.TB, edit tally.Edit) tally.Edit {
	t.Helper()
	edits := []tally.Edit{edit}
	if err := o.Edit(t.Context(), "test", edits); err != nil {
		t.Fatal(err)
	}
	return edits[0]
}

func code(err error) tally.Code {
	if err == nil {
		return ""
	}
	return tally.AsError(err).Code
}

// lockedBuffer is a buffer for a log that the test reads.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
