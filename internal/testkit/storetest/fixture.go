// Package storetest is the conformance suite that every store passes. It knows
// the contracts of [tally.Store], [tally.Feed] and [tally.Ledger] and nothing of any
// store; a store's own test hands [Run] and [RunLedger] a [Factory] and adds what is
// peculiar to it.
package storetest

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Instance is one open store, as one process of the service holds it.
type Instance interface {
	tally.Store
	tally.Feed
}

// Options are what the suite asks of the stores that it has opened.
type Options struct {
	Catalog *tally.Catalog
	Secret  []byte // nil: the store makes one
	// Journal is how long the store keeps one; 0: none. Only [RunLedger] asks for it.
	Journal time.Duration
}

// Fixture is data that was empty when the factory made it, and the instances on
// it. The factory registers with t.Cleanup what ends them; the suite has ended
// each instance's Run by then.
type Fixture struct {
	// Instance was reached and found usable. Its Run was not called.
	Instance Instance
	// Second is another on the same data, with the same options; nil where one
	// process at a time holds the data.
	Second Instance
	// Advance moves the store's clock, also back; nil where it cannot be moved.
	// Leases of presence may go by another clock.
	Advance func(d time.Duration)
	// Reopen closes Instance and Second and returns an instance on the same data;
	// nil where the suite need not try.
	Reopen func(t testing.TB) Instance
}

// Checks has every model of a package's tests compared in n random runs, unless
// -rapid.checks says how many: the same models are run on each kind of store and each
// shape of Redis. It is for TestMain.
func Checks(n int) error {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		return flag.Set("rapid.checks", strconv.Itoa(n))
	}
	return nil
}

// Factory opens a fixture. It fails t when it cannot.
type Factory func(t testing.TB, options Options) *Fixture

const (
	// patience is how long the suite waits for what must happen in the end. It
	// only costs time when a test fails, hence it suits a loaded machine.
	patience = 20 * time.Second
	// quiet is how long the suite watches for what must not happen.
	quiet = 150 * time.Millisecond
	// answer is the deadline of a call that is to succeed.
	answer = 20 * time.Second
)

// Run runs the suite on stores made by open.
func Run(t *testing.T, open Factory) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Factory)
	}{
		{"rules", testRules},
		{"a window ends", testWindowEnds},
		{"what a rule forbids is not applied", testForbidden},
		{"an unknown topic is read as nothing", testUnknownTopic},
		{"keys of every kind", testKeys},
		{"repeated batches count once", testRepeats},
		{"many visitors at once", testManyVisitors},
		{"one visitor toggling at once", testOneVisitorToggling},
		{"many topics at once", testManyTopicsAtOnce},
		{"a large topic", testLargeTopic},
		{"model", testModel},
		{"no call outlives its deadline", testDeadline},
		{"a clock that goes back", testClockBack},
		{"each change is pushed once", testPushedOnce},
		{"watch settles, then pushes", testWatch},
		{"watch and unwatch quickly", testWatchQuickly},
		{"a settled value behind what is held is reissued", testSettleReissues},
		{"a watched topic is read again", testReadAgain},
		{"reissue", testReissue},
		{"many reissues at once", testReissueTogether},
		{"presence", testPresence},
		{"presence ends with its lease", testPresenceLease},
		{"presence is reissued", testPresenceReissue},
		{"top", testTop},
		{"the secret is kept", testSecret},
		{"broadcast", testBroadcast},
		{"what was acknowledged is there after reopening", testReopen},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// glance is a window metric so short that a test can wait for its end.
const glance = time.Second

// catalog returns the sites and metrics of the suite's topics.
func catalog() *tally.Catalog {
	metrics := tally.DefaultMetrics()
	metrics["glances"] = tally.Rule{Kind: tally.Window, Max: 1, Window: glance}
	// Long enough that no test meets the end of one by chance.
	metrics["days"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 24 * time.Hour}
	return tally.NewCatalog([]string{"blog"}, metrics)
}

// fixture opens a fixture with the suite's catalog.
func fixture(t testing.TB, open Factory) *Fixture {
	t.Helper()
	return open(t, Options{Catalog: catalog()})
}

// instances returns the instances of f, one or two.
func (f *Fixture) instances() []Instance {
	if f.Second == nil {
		return []Instance{f.Instance}
	}
	return []Instance{f.Instance, f.Second}
}

// other returns the second instance, or the first where it is alone.
func (f *Fixture) other() Instance {
	if f.Second == nil {
		return f.Instance
	}
	return f.Second
}

var topicNumber atomic.Int64

// tester is what the suite's helpers need of a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// newTopic returns a topic of the site default that no test used before.
func newTopic(t tester, metric string) tally.Topic {
	t.Helper()
	return topic(t, "default", metric, fmt.Sprintf("page-%d", topicNumber.Add(1)))
}

func topic(t tester, site, metric, key string) tally.Topic {
	t.Helper()
	topic, err := tally.NewTopic(site, metric, key)
	if err != nil {
		t.Fatalf("topic %s/%s/%s: %v", site, metric, key, err)
	}
	return topic
}

func answerContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	t.Cleanup(cancel)
	return ctx
}

// apply applies the writes to topic and returns the batch, which has no error.
func apply(t tester, store tally.Store, topic tally.Topic, writes ...tally.Write) tally.Batch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	batches := []tally.Batch{{Topic: topic, Writes: writes}}
	store.Apply(ctx, batches)
	if batches[0].Err != nil {
		t.Fatalf("apply %v to %s: %v", writes, topic, batches[0].Err)
	}
	return batches[0]
}

// assert is a write that may create its topic.
func assert(member tally.Member, amount int64) tally.Write {
	return tally.Write{Member: member, Amount: amount, MayCreate: true}
}

// read returns the state of topic and the member's contribution.
func read(t tester, store tally.Store, topic tally.Topic, member tally.Member) tally.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	readings := store.Read(ctx, []tally.Query{{Topic: topic, Member: member}})
	if len(readings) != 1 {
		t.Fatalf("read of one topic gave %d readings", len(readings))
	}
	if readings[0].Err != nil {
		t.Fatalf("read %s: %v", topic, readings[0].Err)
	}
	if readings[0].Change.Topic != topic {
		t.Fatalf("read of %s answered %s", topic, readings[0].Change.Topic)
	}
	return readings[0]
}

// eventually waits until met, and fails t with what describe says otherwise.
func eventually(t tester, met func() bool, describe func() string) {
	t.Helper()
	within(t, patience, met, describe)
}

func within(t tester, limit time.Duration, met func() bool, describe func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, describe())
		}
		time.Sleep(time.Millisecond)
	}
}
