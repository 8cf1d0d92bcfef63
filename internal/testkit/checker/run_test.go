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

// crowd is how many there are, and what they do.
type crowd struct {
	visitors, viewers int
	// pause is how long a visitor waits between two assertions on average.
	pause time.Duration
	// faithful viewers do not leave by themselves.
	faithful bool
}

// run is one service under test, and what happens to it.
type run struct {
	*scene
	crowd
	t      *testing.T
	seed   uint64
	names  []string // of topics
	record record
	http   *http.Client
	calm   atomic.Bool // viewers leave no more by themselves
	owner  *owner      // who exports, merges and undoes meanwhile; nil: nobody

	addresses []string                // where the instances listen, over restarts
	instances []*processtest.Instance // of the test's goroutine

	stopActing func()       // ends the visitors, and waits for them
	lastEffect atomic.Int64 // until when a lost assertion may be applied, µs
	slowness   atomic.Int64 // see [checker.History.Slowness], µs
}

func newRun(t *testing.T, seed uint64, scene *scene, crowd crowd) *run {
	transport := &http.Transport{
		MaxIdleConnsPerHost: crowd.visitors,
		DialContext:         (&net.Dialer{Timeout: answerWithin}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	r := &run{
		scene: scene, crowd: crowd, t: t, seed: seed, names: slices.Sorted(maps.Keys(topics)),
		http: &http.Client{Transport: transport}, instances: make([]*processtest.Instance, len(scene.stores)),
	}
	for range scene.stores {
		r.addresses = append(r.addresses, processtest.FreeAddress(t))
	}
	return r
}

// flags returns those of an instance.
func (r *run) flags(i int) []string {
	return append([]string{
		"--listen", r.addresses[i], "--store", r.stores[i], "--site", "blog", "--rate-limit", "off", "--read-limit", "off",
		"--new-topic-limit", "off", "--max-viewers-per-address", "off",
		"--admin-token", ownerToken, "--trusted-proxy", "127.0.0.1/32",
	}, r.args...)
}

// launch starts an instance, which need not become ready.
func (r *run) launch(i int) {
	r.t.Helper()
	r.instances[i] = processtest.Serve(r.t, binary, r.env, r.flags(i)...)
}

func (r *run) url(instance int) string { return "http://" + r.addresses[instance] }

// source returns the randomness of one who acts.
func (r *run) source(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }

// start launches the instances and lets visitors and viewers act until the test
// ends.
func (r *run) start() {
	r.t.Helper()
	for i := range r.instances {
		r.launch(i)
	}
	for _, i := range r.instances {
		i.AwaitReady()
	}
	r.calm.Store(r.faithful)
	var writing, watching sync.WaitGroup
	acting, stop := context.WithCancel(context.Background())
	open, leave := context.WithCancel(context.Background())
	r.stopActing = func() {
		stop()
		writing.Wait()
	}
	r.t.Cleanup(func() {
		r.stopActing()
		leave()
		watching.Wait()
	})
	watching.Go(func() { r.measure(open) }) // ends with open
	for n := range r.viewers {
		watching.Go(func() { r.watch(open, n, r.source(1000+n)) }) // ends with open
	}
	for n := range r.visitors {
		writing.Go(func() { r.visit(acting, visitor(n), r.source(2000+n)) }) // ends with acting
	}
	if r.owner != nil {
		writing.Go(func() { r.owner.act(acting) }) // ends with acting, and what it is at
	}
}

// measure asks one instance after the other for what waits for nothing, and notes how
// long that takes, until ctx ends. A change passes through some processes more.
func (r *run) measure(ctx context.Context) {
	const hops = 3
	for n := 0; ctx.Err() == nil; n++ {
		began := now()
		_, _, err := r.ask(try{instance: n % len(r.addresses), patience: answerWithin}, "GET", "/healthz", "", "")
		if took := int64(now()-began) * hops; err == nil && took > r.slowness.Load() {
			r.slowness.Store(took)
		}
		wait(50 * time.Millisecond)
	}
}

// slow is what this machine took at the worst.
func (r *run) slow() time.Duration { return time.Duration(r.slowness.Load()) * time.Microsecond }

// play lets visitors and viewers act while the nemesis does its work, and judges.
func (r *run) play(nemesis *nemesis, lasting time.Duration) {
	r.start()
	nemesis.rage(r.source(1), lasting)
	r.calm.Store(true)
	r.stopActing()
	r.settle()
	r.verdict(r.end())
}

func visitor(n int) string { return fmt.Sprintf("visitor-%03d", n) }

// everybody are all who contributed.
func (r *run) everybody() (names []string) {
	for n := range r.visitors {
		names = append(names, visitor(n))
	}
	if r.owner != nil {
		names = append(names, r.owner.names...)
	}
	return names
}

// settle waits until nothing can have an effect any more and all viewers must be
// current.
func (r *run) settle() {
	effect := time.UnixMicro(r.lastEffect.Load())
	wait(time.Until(effect))
	for deadline := time.Now().Add(checker.Soon*time.Microsecond + r.slow()); !r.current() && time.Now().Before(deadline); {
		wait(20 * time.Millisecond)
	}
}

// current tells whether all viewers are connected and show what is stored.
func (r *run) current() bool {
	stored := map[string]checker.Sighting{}
	for _, name := range r.names {
		n, version := r.count(name)
		stored[name] = checker.Sighting{Count: n, Version: version}
	}
	open := 0
	for _, c := range r.record.history().Connections {
		if c.Ended != 0 {
			continue
		}
		open++
		last := map[string]checker.Sighting{}
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

// end reads what is stored, and returns all that happened.
func (r *run) end() *checker.History {
	h := r.record.history()
	h.Seed, h.Slowness = r.seed, checker.Moment(r.slowness.Load())
	asked := strings.Join(r.names, `","`)
	for _, name := range r.names {
		h.Final = append(h.Final, checker.Final{Topic: name, Mine: map[string]int64{}})
	}
	for n, name := range r.everybody() {
		for i := range r.instances {
			if n > 0 && i > 0 {
				break // one instance tells of each visitor, all tell of one
			}
			status, text, err := r.ask(try{instance: i, patience: answerWithin}, "POST", "/v1/counts",
				fmt.Sprintf(`{"topics":["%s"],"visitor":%q}`, asked, name), "")
			var answer struct {
				Counts []struct{ Count, Version, Mine int64 }
			}
			if err == nil {
				err = json.Unmarshal(text, &answer)
			}
			if err != nil || len(answer.Counts) != len(r.names) {
				r.t.Fatalf("the counts at the end, from instance %d: %d %s %v", i, status, text, err)
			}
			for at, count := range answer.Counts {
				f := &h.Final[at]
				if f.Version != 0 && (f.Version != count.Version || f.Count != count.Count) {
					r.t.Errorf("instance %d reads %s as %+v, another as %+v", i, f.Topic, count, f)
				}
				f.Count, f.Version, f.Mine[name] = count.Count, count.Version, count.Mine
			}
		}
	}
	for _, f := range h.Final {
		if n, version := r.count(f.Topic); n != f.Count || version != f.Version {
			r.t.Errorf("%s reads as %d at %d, and the store has %d at %d", f.Topic, f.Count, f.Version, n, version)
		}
	}
	return h
}

// verdict judges what happened, and that enough did.
func (r *run) verdict(h *checker.History) {
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
	r.t.Logf("this machine took up to %s more than it should", r.slow())
	r.t.Logf("seed %d: writes %v, %d faults, %d connections that saw %d frames, %d reads", r.seed, outcomes, len(h.Faults), len(h.Connections), seen, len(h.Reads))
	if open != r.viewers {
		r.t.Errorf("at the end %d of %d viewers are connected and current", open, r.viewers)
	}
	if outcomes[checker.Acknowledged] < 2*r.visitors || len(h.Faults) == 0 || seen < 4*r.viewers {
		r.t.Error("too little happened for a judgement")
	}
	if o := r.owner; o != nil {
		r.t.Logf("%d exports, %d merges, %d undos", o.exports, o.merges, o.undos)
		if o.exports == 0 || o.merges == 0 || o.undos == 0 {
			r.t.Error("the owner came to too little")
		}
	}
	for _, v := range checker.Judge(h) {
		r.t.Error(v)
	}
	if r.t.Failed() || os.Getenv(historyVariable) != "" {
		r.keep(h)
	}
}

// keep writes the history where a person finds it.
func (r *run) keep(h *checker.History) {
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
