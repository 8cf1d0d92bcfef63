// Package storetest is the conformance suite of all stores. It knows the contracts of
// [tally.Store], [tally.Feed] and [tally.Ledger] and no implementation. The tests of a
// store pass a [Factory] to [Run], or to [RunShape] for further shapes of the same store,
// and test what only that store promises.
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
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// Store is one open store, as one process of the service holds it.
type Store interface {
	tally.Store
	tally.Feed
	tally.Ledger
}

// Options are the options with which the suite opens a store.
type Options struct {
	Catalog *tally.Catalog
	Secret  []byte        // nil: the store generates one
	Journal time.Duration // retention of the journal; 0: none
	History time.Duration // retention of the count of each day; 0: there is no history
}

// Fixture is new, empty data and the stores that are open on it. The factory closes these with
// t.Cleanup; the suite ends each store's Run before that.
type Fixture struct {
	// First is usable. Its Run was not called.
	First Store
	// Second is another store on the same data, with the same options; nil if only one
	// process at a time can hold the data.
	Second Store
	// Advance moves the store's clock forward or back; nil if that is not possible. Leases of
	// presence may use another clock.
	Advance func(d time.Duration)
	// Reopen closes First and Second and returns a store on the same data.
	Reopen func(t testing.TB) Store
}

// Factory opens a fixture, or fails t.
type Factory func(t testing.TB, options Options) *Fixture

// Checks sets the number of random runs of each model in a test binary to n, unless the
// flag -rapid.checks is set. It is for TestMain.
func Checks(n int) error {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		return flag.Set("rapid.checks", strconv.Itoa(n))
	}
	return nil
}

const (
	// waitTimeout bounds the wait for a condition that must become true. Only failing tests
	// take so long, so it suits a loaded machine.
	waitTimeout = 20 * time.Second
	// callTimeout is the deadline of a call that must succeed.
	callTimeout = 20 * time.Second
	// week is the journal's retention in the suite.
	week = 7 * 24 * time.Hour
)

// test is one test of the suite.
type test struct {
	name string
	run  func(t *testing.T, open Factory)
}

func runTests(t *testing.T, open Factory, tests []test) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// RunShape runs the model and the tests of calls that may concern several nodes, for a
// further shape of a store.
func RunShape(t *testing.T, open Factory) {
	runTests(t, open, []test{
		{"Model", testModel},
		{"ConcurrentTopics", testManyTopicsAtOnce},
		{"Watch", testWatch},
		{"Broadcast", testBroadcast},
		{"Presence", testPresence},
		{"Top", testTop},
		{"Gains", testGains},
		{"List", testList},
		{"Dump", testDump},
		{"Reopen", testReopen},
	})
}

// Run runs the whole suite.
func Run(t *testing.T, open Factory) {
	runTests(t, open, []test{
		{"Model", testModel},
		{"InvalidInput", testInvalidInput},
		{"Limits", testLimits},
		{"UnknownTopic", testUnknownTopic},
		{"Keys", testKeys},
		{"WindowEnd", testWindowEnd},
		{"ClockBack", testClockBack},
		{"Deadline", testDeadline},
		{"Secret", testSecret},
		{"Reopen", testReopen},
		{"ConcurrentVisitors", testManyVisitors},
		{"ConcurrentToggles", testOneVisitorToggling},
		{"ConcurrentTopics", testManyTopicsAtOnce},
		{"ConcurrentEdits", testConcurrentEdits},
		{"LargeTopic", testLargeTopic},
		{"EmptyLargeTopic", testEmptyLargeTopic},
		{"DeletedTopic", testDeletedTopic},
		{"OnePushPerChange", testOnePushPerChange},
		{"Watch", testWatch},
		{"WatchQuickly", testWatchQuickly},
		{"Refresh", testRefresh},
		{"Reissue", testReissue},
		{"ConcurrentReissue", testConcurrentReissue},
		{"Broadcast", testBroadcast},
		{"Presence", testPresence},
		{"PresenceLease", testPresenceLease},
		{"Top", testTop},
		{"List", testList},
		{"Dump", testDump},
		{"DumpError", testDumpError},
		{"ConcurrentDump", testConcurrentDump},
		{"Restore", testRestore},
		{"RestorePortions", testRestorePortions},
		{"Journal", testJournal},
		{"NoJournal", testNoJournal},
		{"JournalRetention", testJournalRetention},
		{"Revert", testRevert},
		{"ConcurrentRevert", testConcurrentRevert},
		{"Settings", testSettings},
		{"SwapSettings", testSwapSettings},
		{"Marks", testMarks},
		{"AuditLog", testAuditLog},
		{"Activity", testActivity},
		{"Usage", testUsage},
	})
}

// glance is the window of the metric glances, so short that a test can wait for its end.
const glance = time.Second

// catalog returns the sites and metrics of the suite's topics.
func catalog() *tally.Catalog {
	metrics := tally.DefaultMetrics()
	metrics["glances"] = tally.Rule{Kind: tally.Window, Max: 1, Window: glance}
	// Too long for a test to reach the end of one by chance.
	metrics["days"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 24 * time.Hour}
	return tally.NewCatalog([]string{"blog"}, metrics)
}

// fixture opens a fixture with the suite's catalog and a journal.
func fixture(t testing.TB, open Factory) *Fixture {
	t.Helper()
	return open(t, Options{Catalog: catalog(), Journal: week})
}

// kinds are metrics that store contributions, one of each rule.
var kinds = []string{"likes", "claps", "visitors", "days", "rating"}

// stores returns the stores of f, one or two.
func (f *Fixture) stores() []Store {
	if f.Second == nil {
		return []Store{f.First}
	}
	return []Store{f.First, f.Second}
}

// other returns the second store, or the first if there is only one.
func (f *Fixture) other() Store {
	if f.Second == nil {
		return f.First
	}
	return f.Second
}

var topicNumber atomic.Int64

// tester is the part of *testing.T and *rapid.T that the suite's helpers use.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// newTopic returns a new topic of the site default.
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

func callContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	t.Cleanup(cancel)
	return ctx
}

// apply applies the writes to topic, which must not fail, and returns the batch.
func apply(t tester, store tally.Applier, topic tally.Topic, writes ...tally.Write) tally.Batch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	batches := []tally.Batch{{Topic: topic, Writes: writes}}
	store.Apply(ctx, batches)
	if batches[0].Err != nil {
		t.Fatalf("apply %v to %s: %v", writes, topic, batches[0].Err)
	}
	checkOptions(t, batches[0].Change())
	return batches[0]
}

// checkOptions checks that a change has a number for each option of its metric, which add
// up to its count.
func checkOptions(t tester, change tally.Change) {
	t.Helper()
	if err := addUp(change); err != nil {
		t.Fatalf("%v", err)
	}
}

// addUp returns an error if the options of a change do not add up to its count.
func addUp(change tally.Change) error {
	rule := catalog().Rule(change.Topic)
	isChoice := rule.Kind == tally.Choice || rule.Kind == 0 && change.Options != "" // the test declared the metric
	if !isChoice && change.Options == "" {
		return nil
	}
	if !isChoice || int64(change.Options.Len()) < rule.Max || change.Options.Sum() != change.Count {
		return fmt.Errorf("%v has the options %q, which do not add up", change, change.Options)
	}
	return nil
}

// untouched is the state of an untouched topic.
func untouched(topic tally.Topic) tally.Change { return catalog().Rule(topic).EmptyState(topic).Change }

// editOf returns e for a topic: in a choice metric its value is that of the first option.
func editOf(topic tally.Topic, e tally.Edit) tally.Edit {
	e.Topic = topic
	if rule := catalog().Rule(topic); rule.Kind == tally.Choice && e.Creates() {
		values := make([]int64, rule.Max)
		values[0] = e.Value
		e.Value, e.Options = 0, tally.NewOptions(values)
	}
	return e
}

// assert is a write that may create its topic.
func assert(member tally.Member, amount int64) tally.Write {
	return tally.Write{Member: member, Amount: amount, MayCreate: true}
}

// read returns the state of topic and the member's contribution.
func read(t tester, store tally.Reader, topic tally.Topic, member tally.Member) tally.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
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
	checkOptions(t, readings[0].Change)
	return readings[0]
}

// eventually waits until met returns true, or fails t with the text of describe.
func eventually(t tester, met func() bool, describe func() string) {
	t.Helper()
	within(t, waitTimeout, met, describe)
}

// within is eventually with a limit, which [processtest.Await] extends on a busy machine.
func within(t tester, limit time.Duration, met func() bool, describe func() string) {
	t.Helper()
	if !processtest.Await(limit, met) {
		t.Fatalf("not within %s: %s", limit, describe())
	}
}
