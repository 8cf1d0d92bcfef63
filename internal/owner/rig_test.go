package owner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// patience is how long anything may take; it costs time only when a test fails.
const patience = 20 * time.Second

// leaks are goroutines of others that end by themselves: go-redis looks out for a
// server that is away with a second's sleep.
var leaks = goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")

// fullStore is a store as an instance has it.
type fullStore interface {
	tally.Store
	tally.Ledger
	tally.Feed
	Close() error
}

func catalog() *tally.Catalog {
	metrics := tally.DefaultMetrics()
	// A window that no test meets the end of.
	metrics["visits"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 1 << 20 * time.Hour}
	return tally.NewCatalog([]string{"blog", "docs"}, metrics)
}

const journal = 7 * 24 * time.Hour

// world is data and two stores on it, which are one where one process holds the data.
type world struct {
	first, second fullStore
	// place is where another process finds the data, once let go.
	place string
	// again opens it anew, once it was closed.
	again func(t testing.TB) fullStore
}

// everywhere runs a test on data of both kinds, at once.
func everywhere(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, onSQLite(t))
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		test(t, onRedis(t))
	})
}

func onSQLite(t testing.TB) *world {
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
	return &world{first: store, second: store, place: path, again: again}
}

func openSQLite(path string) (fullStore, error) {
	return sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Journal: journal})
}

func onRedis(t testing.TB) *world {
	url := redistest.Start(t, redistest.Options{}).URL(0)
	again := func(t testing.TB) fullStore {
		t.Helper()
		store, err := openRedis(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	return &world{first: again(t), second: again(t), place: url, again: again}
}

func openRedis(url string) (fullStore, error) {
	store, err := redisstore.Open(url, catalog(), redisstore.Options{Journal: journal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return store, store.Connect(ctx)
}

// office is a desk, and the service that follows its settings.
type office struct {
	*owner.Service
	service *tally.Service
}

func open(store fullStore) *office { return openWith(store, owner.Options{}) }

func openWith(store fullStore, o owner.Options) *office {
	if o.LeaseTime == 0 {
		o.LeaseTime = time.Second // what was killed is carried on after it
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	service := tally.NewService(store, catalog())
	return &office{owner.New(store, service, o), service}
}

var topicNumber atomic.Int64

// newTopic returns a topic that no test used before.
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

// home is an address of nobody in particular.
var home = netip.MustParseAddr("198.51.100.7")

// contribute asserts amount, again and again while it is not acknowledged.
func (o *office) contribute(t testing.TB, topic tally.Topic, visitor string, amount int64, from netip.Addr) tally.Result {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
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

func (o *office) like(t testing.TB, topic tally.Topic, visitor string) tally.Result {
	t.Helper()
	return o.contribute(t, topic, visitor, 1, home)
}

// mine returns what a visitor contributes, as it is told.
func (o *office) mine(t testing.TB, topic tally.Topic, visitor string) int64 {
	t.Helper()
	readings, err := o.service.Read(context.Background(), []tally.Topic{topic}, visitor)
	if err != nil || readings[0].Err != nil {
		t.Fatal(err, readings)
	}
	return readings[0].Mine
}

func (o *office) state(t testing.TB, topic tally.Topic) tally.State {
	t.Helper()
	state, err := o.Get(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (o *office) counts(t testing.TB, topic tally.Topic, want int64) {
	t.Helper()
	if state := o.state(t, topic); state.Count != want {
		t.Errorf("%s counts %d, want %d (%+v)", topic, state.Count, want, state)
	}
}

// mergeAll merges topics into another, again and again while the store does not answer.
func (o *office) mergeAll(t testing.TB, to tally.Topic, from ...tally.Topic) tally.Change {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); ; {
		change, err := o.Merge(t.Context(), "test", from, to)
		if err == nil {
			return change
		}
		if code(err) != tally.CodeStoreUnavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// edit carries out one edit, which must succeed.
func (o *office) edit(t testing.TB, edit tally.Edit) tally.Edit {
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
