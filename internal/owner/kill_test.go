package owner_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// With these environment variables the test binary is the process that is killed: its action,
// its data, and the number of the changing call before which it dies.
const (
	childDoes = "OWNER_TEST_CHILD_DOES"
	childURL  = "OWNER_TEST_CHILD_PLACE"
	childDies = "OWNER_TEST_CHILD_DIES"
	childFrom = "OWNER_TEST_CHILD_FROM"
	childTo   = "OWNER_TEST_CHILD_TO"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDoes) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	processtest.SetParallel(6) // most tests wait for leases
	goleak.VerifyTestMain(m, leaks)
}

// killer kills the process before a changing call.
type killer struct{ left int }

func (a *killer) turn(what string) error {
	for _, harmless := range []string{"read", "list", "settings", "dump"} {
		if strings.HasPrefix(what, harmless) {
			return nil
		}
	}
	if a.left--; a.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

func child() error {
	place := os.Getenv(childURL)
	openStore := openSQLite
	if strings.HasPrefix(place, "redis://") {
		openStore = openRedis
	}
	store, err := openStore(place)
	if err != nil {
		return err
	}
	dies, err := strconv.Atoi(os.Getenv(childDies))
	if err != nil {
		return err
	}
	o := open(steppedStore{store, &killer{dies}, nil})
	from := topic(os.Getenv(childFrom))
	if os.Getenv(childDoes) == "merge" {
		_, err = o.Merge(context.Background(), "killed", []tally.Topic{from}, topic(os.Getenv(childTo)))
	} else {
		_, err = o.Revert(context.Background(), "killed", owner.Selection{Topics: []tally.Topic{from}, From: time.Now().Add(-time.Hour), Addresses: []netip.Addr{botAddress}}, false)
	}
	return err
}

// killed runs a child that dies before its nth call. It reports false if there was none.
func killed(t *testing.T, w *stores, does string, n int, from, to tally.Topic) bool {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0",
		childDoes+"="+does, childURL+"="+w.url, childDies+"="+strconv.Itoa(n),
		childFrom+"="+from.String(), childTo+"="+to.String())
	out, err := command.CombinedOutput()
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%s, to be killed before call %d: %v\n%s", does, n, err, out)
	}
	return false
}

// beforeEachCall runs a test with n = 1, 2, …, on each store, until it reports that its child
// did not die: it has fewer than n calls. Each run has data of its own; several run at the same
// time, since most of them wait for a lease.
func beforeEachCall(t *testing.T, test func(t *testing.T, w *stores, n int) (died bool)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		runBeforeEachCall(t, func(t *testing.T, n int) bool { return test(t, onSQLite(t), n) })
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Options{Args: []string{"--databases", "1000"}})
		runBeforeEachCall(t, func(t *testing.T, n int) bool { return test(t, onDatabase(t, server, n), n) })
	})
}

func runBeforeEachCall(t *testing.T, test func(t *testing.T, n int) (died bool)) {
	var ended atomic.Bool
	for first := 1; !ended.Load(); first += atOnce {
		t.Run(fmt.Sprintf("calls from %d", first), func(t *testing.T) {
			for n := first; n < first+atOnce; n++ {
				t.Run(strconv.Itoa(n), func(t *testing.T) {
					t.Parallel()
					if !test(t, n) {
						ended.Store(true)
					}
				})
			}
		})
		if t.Failed() {
			return
		}
	}
}

// killedMerge merges two topics in a child that dies before its nth call. It returns the store,
// reopened, and the sum of the topics before. died is false if the merge ended.
func killedMerge(t *testing.T, w *stores, metric string, n int) (reopened fullStore, from, to tally.Topic, sum int64, died bool) {
	t.Helper()
	o := open(w.first)
	from, to = newTopic(metric), newTopic(metric)
	amount := int64(5)
	if metric == "visits" {
		amount = 1
	}
	for v := range 3 {
		o.contribute(t, from, visitor(v), amount, readerAddress)
		o.contribute(t, to, visitor(v), amount, readerAddress)
	}
	o.edit(t, tally.Edit{Topic: from, Kind: tally.EditSeed, Value: 100})
	o.edit(t, tally.Edit{Topic: to, Kind: tally.EditAdjustment, Value: 1000})
	if err := w.first.Close(); err != nil { // one process at a time holds a file
		t.Fatal(err)
	}
	if died = killed(t, w, "merge", n, from, to); !died && n < 8 {
		t.Errorf("a merge has only %d calls", n-1)
	}
	return w.reopen(t), from, to, 6*amount + 1100, died
}

// Repeating a merge that was killed before any of its calls finishes it.
func TestMerge_KilledAndRepeated(t *testing.T) {
	beforeEachCall(t, func(t *testing.T, w *stores, n int) bool {
		store, from, to, sum, died := killedMerge(t, w, "claps", n)
		o := open(store)
		if change := o.mergeAll(t, to, from); change.Count != sum {
			t.Fatalf("killed before call %d, then repeated: %+v; want %d", n, change, sum)
		}
		if state := o.state(t, from); state.Version != 0 {
			t.Errorf("killed before call %d: %+v", n, state)
		}
		o.gained(t, to, 30)
		if got := o.mine(t, to, visitor(1)); got != 5 {
			t.Errorf("killed before call %d: a visitor of both topics contributes %d", n, got)
		}
		return died
	})
}

// A running instance finishes a killed merge, even if the target was merged with another topic
// or edited before. Nothing is added twice.
func TestMerge_KilledAndFinishedByAnother(t *testing.T) {
	beforeEachCall(t, func(t *testing.T, w *stores, n int) bool {
		store, from, to, sum, died := killedMerge(t, w, []string{"claps", "visits"}[n%2], n)
		o := openWith(store, owner.Options{LeaseTime: shortLease / 2})
		stop := run(t, o)
		if n%3 == 0 {
			other := newTopic(to.Metric())
			o.contribute(t, other, visitor(1), 1, readerAddress)
			o.mergeAll(t, to, other)
			sum++
		}
		edits := []tally.Edit{{Topic: to, Kind: tally.EditAdjustment, Value: 7000}}
		processtest.Eventually(t, "the topic takes edits", func() bool {
			o.Receive(owner.SettingsChanged()) // read the settings now
			return o.Edit(t.Context(), "test", edits) == nil
		})
		sum += edits[0].After.Count - edits[0].Before.Count
		o.mergeAll(t, to, from)
		stop()
		if got := o.state(t, to).Count; got != sum {
			t.Errorf("killed before call %d: count %d, want %d", n, got, sum)
		}
		return died
	})
}

// botAddress is the address of a bot.
var botAddress = netip.MustParseAddr("203.0.113.99")

func TestRevert_KilledAndRepeated(t *testing.T) {
	beforeEachCall(t, func(t *testing.T, w *stores, n int) bool {
		o := open(w.first)
		page := newTopic("likes")
		o.like(t, page, visitor(1))
		for v := range 30 {
			o.contribute(t, page, visitor(100+v), 1, botAddress)
		}
		if err := w.first.Close(); err != nil { // one process at a time holds a file
			t.Fatal(err)
		}
		died := killed(t, w, "revert", n, page, page)
		o = open(w.reopen(t))
		_, err := o.Revert(t.Context(), "again", owner.Selection{Topics: []tally.Topic{page}, From: time.Now().Add(-time.Hour), Addresses: []netip.Addr{botAddress}}, false)
		if err != nil {
			t.Fatal(err)
		}
		o.counts(t, page, 1)
		return died
	})
}
