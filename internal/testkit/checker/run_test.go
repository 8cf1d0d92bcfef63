package checker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// load is the number and behaviour of visitors and viewers.
type load struct {
	visitors, viewers int
	// pause is the average time between two assertions of a visitor.
	pause time.Duration
	// staysConnected means that viewers do not leave by themselves.
	staysConnected bool
}

// run is one service under test, its load and its history.
type run struct {
	*deployment
	load
	t          *testing.T
	seed       uint64
	names      []string // of topics
	record     record
	http       *http.Client
	faultsOver atomic.Bool // viewers stay connected from now on
	owner      *owner      // nil if there is none

	addresses []string                // of the instances, also after restarts
	instances []*processtest.Instance // used by the test's goroutine only

	stopWrites func()       // stops the visitors and waits for them
	lastEffect atomic.Int64 // until when a lost assertion may be applied, in µs
	slowness   atomic.Int64 // see [checker.History.Slowness], in µs
}

func newRun(t *testing.T, seed uint64, d *deployment, l load) *run {
	transport := &http.Transport{
		MaxIdleConnsPerHost: l.visitors,
		DialContext:         (&net.Dialer{Timeout: responseTimeout}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	r := &run{
		deployment: d, load: l, t: t, seed: seed, names: slices.Sorted(maps.Keys(topics)),
		http: &http.Client{Transport: transport}, instances: make([]*processtest.Instance, len(d.stores)),
	}
	for range d.stores {
		r.addresses = append(r.addresses, processtest.FreeAddress(t))
	}
	return r
}

// flags returns the flags of an instance.
func (r *run) flags(i int) []string {
	flags := append([]string{
		"--listen", r.addresses[i], "--store", r.stores[i], "--site", "blog", "--rate-limit", "off", "--read-limit", "off",
		"--new-topic-limit", "off", "--topic-limit", "off", "--max-viewers-per-address", "off",
		"--admin-token", ownerToken, "--trusted-proxy", "127.0.0.1/32",
	}, r.args...)
	if r.replicas != nil && r.replicas[i] != "" {
		flags = append(flags, "--store-replica", r.replicas[i])
	}
	return flags
}

// launch starts an instance without waiting until it is ready.
func (r *run) launch(i int) {
	r.t.Helper()
	r.instances[i] = processtest.Serve(r.t, binary, r.env, r.flags(i)...)
}

func (r *run) url(instance int) string { return "http://" + r.addresses[instance] }

// source returns the source of random numbers of one visitor or viewer.
func (r *run) source(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }

// start launches the instances, and the visitors and viewers, who run until the test ends.
func (r *run) start() {
	r.t.Helper()
	for i := range r.instances {
		r.launch(i)
	}
	for _, i := range r.instances {
		i.AwaitReady()
	}
	r.faultsOver.Store(r.staysConnected)
	var writing, watching sync.WaitGroup
	acting, stop := context.WithCancel(context.Background())
	open, leave := context.WithCancel(context.Background())
	r.stopWrites = func() {
		stop()
		writing.Wait()
	}
	r.t.Cleanup(func() {
		r.stopWrites()
		leave()
		watching.Wait()
	})
	watching.Go(func() { r.measureSlowness(open) }) // ends with open
	for n := range r.viewers {
		watching.Go(func() { r.runViewer(open, n, r.source(1000+n)) }) // ends with open
	}
	for n := range r.visitors {
		writing.Go(func() { r.runVisitor(acting, visitor(n), r.source(2000+n)) }) // ends with acting
	}
	if r.owner != nil {
		writing.Go(func() { r.owner.work(acting) }) // ends with acting, after its current task
	}
}

// measureSlowness measures the latency of /healthz, which waits for nothing, until ctx ends.
// It multiplies it by hops, because a change passes through several processes.
func (r *run) measureSlowness(ctx context.Context) {
	const hops = 3
	for n := 0; ctx.Err() == nil; n++ {
		began := now()
		_, _, err := r.request(attempt{instance: n % len(r.addresses), timeout: responseTimeout}, "GET", "/healthz", "", "")
		if took := int64(now()-began) * hops; err == nil && took > r.slowness.Load() {
			r.slowness.Store(took)
		}
		sleep(50 * time.Millisecond)
	}
}

// maxSlowness returns the longest latency of the machine itself.
func (r *run) maxSlowness() time.Duration { return time.Duration(r.slowness.Load()) * time.Microsecond }

// runSchedule injects faults under load and checks the history.
func (r *run) runSchedule(nemesis *nemesis, duration time.Duration) {
	r.start()
	nemesis.injectFaults(r.source(1), duration)
	r.faultsOver.Store(true)
	r.stopWrites()
	r.settle()
	r.check(r.readFinal())
}

func visitor(n int) string { return fmt.Sprintf("visitor-%03d", n) }

// allVisitors returns the names of all visitors.
func (r *run) allVisitors() (names []string) {
	for n := range r.visitors {
		names = append(names, visitor(n))
	}
	if r.owner != nil {
		names = append(names, r.owner.names...)
	}
	return names
}

// settle waits until no write can have an effect any more and all viewers must be current.
func (r *run) settle() {
	effect := time.UnixMicro(r.lastEffect.Load())
	sleep(time.Until(effect))
	for deadline := time.Now().Add(checker.MaxLag*time.Microsecond + checker.RecoverySteps*r.maxSlowness()); !r.current() && time.Now().Before(deadline); {
		sleep(20 * time.Millisecond)
	}
}

// current reports whether all viewers are connected and show the stored counts.
func (r *run) current() bool {
	stored := map[string]checker.Observation{}
	for _, name := range r.names {
		n, version := r.stored(name)
		stored[name] = checker.Observation{Count: n, Version: version}
	}
	open := 0
	for _, c := range r.record.history().Connections {
		if c.Ended != 0 {
			continue
		}
		open++
		last := map[string]checker.Observation{}
		for _, s := range c.Seen {
			last[s.Topic] = s
		}
		for topic := range c.Watched {
			if s, want := last[topic], stored[topic]; s.Count != want.Count || s.Version != want.Version {
				return false
			}
		}
		if c.Stale || len(c.Watched) == 0 {
			return false
		}
	}
	return open == r.viewers
}

// readFinal reads the stored counts and returns the complete history.
func (r *run) readFinal() *checker.History {
	h := r.record.history()
	h.Seed, h.Slowness = r.seed, checker.Moment(r.slowness.Load())
	topics := strings.Join(r.names, `","`)
	for _, name := range r.names {
		h.Final = append(h.Final, checker.Final{Topic: name, Mine: map[string]int64{}})
	}
	for n, name := range r.allVisitors() {
		for i := range r.instances {
			if n > 0 && i > 0 {
				break // ask all instances about the first visitor, and one about the others
			}
			status, text, err := r.request(attempt{instance: i, timeout: responseTimeout}, "POST", "/v1/counts",
				fmt.Sprintf(`{"topics":["%s"],"visitor":%q}`, topics, name), "")
			var answer struct {
				Counts []struct {
					Count, Version, Mine int64
					Options              []int64
				}
			}
			if err == nil {
				err = json.Unmarshal(text, &answer)
			}
			if err != nil || len(answer.Counts) != len(r.names) {
				r.t.Fatalf("final counts from instance %d: %d %s %v", i, status, text, err)
			}
			for at, count := range answer.Counts {
				f := &h.Final[at]
				if f.Version != 0 && (f.Version != count.Version || f.Count != count.Count || !slices.Equal(f.Options, count.Options)) {
					r.t.Errorf("instance %d reads %s as %+v, another instance as %+v", i, f.Topic, count, f)
				}
				f.Count, f.Options, f.Version, f.Mine[name] = count.Count, count.Options, count.Version, count.Mine
			}
		}
	}
	for _, f := range h.Final {
		if n, version := r.stored(f.Topic); n != f.Count || version != f.Version {
			r.t.Errorf("%s is read as %d at version %d, the store has %d at version %d", f.Topic, f.Count, f.Version, n, version)
		}
	}
	return h
}

// check checks the history, and that it contains enough writes, faults and frames.
func (r *run) check(h *checker.History) {
	r.t.Helper()
	outcomes := map[checker.Outcome]int{}
	for _, w := range h.Writes {
		outcomes[w.Outcome]++
	}
	seen, open := 0, 0
	for _, c := range h.Connections {
		seen += len(c.Seen)
		if c.Ended == 0 && len(c.Watched) > 0 {
			open++
		}
	}
	r.t.Logf("slowness of the machine: %s", r.maxSlowness())
	r.t.Logf("seed %d: writes %v, %d faults, %d connections that saw %d frames, %d reads", r.seed, outcomes, len(h.Faults), len(h.Connections), seen, len(h.Reads))
	if open != r.viewers {
		r.t.Errorf("at the end %d of %d viewers are connected and live", open, r.viewers)
	}
	if outcomes[checker.Acknowledged] < 2*r.visitors || len(h.Faults) == 0 || seen < 4*r.viewers {
		r.t.Error("too few writes, faults or frames for a check")
	}
	if o := r.owner; o != nil {
		r.t.Logf("%d exports, %d merges, %d undos", o.exports, o.merges, o.undos)
		if o.exports == 0 || o.merges == 0 || o.undos == 0 {
			r.t.Error("the owner completed too few tasks")
		}
	}
	for _, v := range checker.Check(h) {
		r.t.Error(v)
	}
	if r.t.Failed() || os.Getenv(historyVariable) != "" {
		r.saveHistory(h)
	}
}

// saveHistory writes the history to a file.
func (r *run) saveHistory(h *checker.History) {
	dir := os.Getenv(historyVariable)
	if dir == "" {
		dir = os.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("tallycast-history-%d.json", r.seed))
	text, err := json.MarshalIndent(h, "", " ")
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	r.t.Logf("the history is in %s (%v)", path, err)
}
