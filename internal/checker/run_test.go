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

	"github.com/tallycast/tallycast/internal/checker"
	"github.com/tallycast/tallycast/internal/processtest"
	"github.com/tallycast/tallycast/internal/redistest"
)

const (
	instances = 3
	visitors  = 40
	viewers   = 24
)

// run is one service under test, and what happens to it.
type run struct {
	t      *testing.T
	seed   uint64
	names  []string // of topics
	record record
	http   *http.Client
	calm   atomic.Bool // viewers leave no more by themselves

	addresses []string                 // where the instances listen, over restarts
	args      [][]string               // of each instance
	instances []*processtest.Instance  // of the test's goroutine
	stored    func(topic string) int64 // what the store itself says
}

func newRun(t *testing.T, seed uint64) *run {
	transport := &http.Transport{
		MaxIdleConnsPerHost: visitors,
		DialContext:         (&net.Dialer{Timeout: answerWithin}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &run{
		t: t, seed: seed, names: slices.Sorted(maps.Keys(topics)), http: &http.Client{Transport: transport},
		instances: make([]*processtest.Instance, instances),
	}
}

// prepare says where the instances listen and which store each of them has.
func (r *run) prepare(store func(i int) string) {
	for i := range instances {
		address := processtest.FreeAddress(r.t)
		r.addresses = append(r.addresses, address)
		r.args = append(r.args, []string{
			"--listen", address, "--store", store(i), "--site", "blog", "--rate-limit", "off", "--read-limit", "off",
			"--new-topic-limit", "off", "--max-viewers-per-address", "off",
		})
	}
}

// launch starts an instance, which need not become ready.
func (r *run) launch(i int) {
	r.t.Helper()
	r.instances[i] = processtest.Serve(r.t, binary, nil, r.args[i]...)
}

func (r *run) url(instance int) string { return "http://" + r.addresses[instance] }

// play lets visitors and viewers act while the nemesis does its work, and judges.
func (r *run) play(nemesis *nemesis, lasting time.Duration) {
	for i := range instances {
		r.launch(i)
	}
	for _, i := range r.instances {
		i.AwaitReady()
	}
	source := func(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }
	var writing, watching sync.WaitGroup
	acting, stop := context.WithCancel(context.Background())
	open, leave := context.WithCancel(context.Background())
	defer func() {
		stop()
		leave()
		writing.Wait()
		watching.Wait()
	}()
	for n := range viewers {
		watching.Go(func() { r.watch(open, n, source(1000+n)) }) // ends with open
	}
	for n := range visitors {
		writing.Go(func() { r.visit(acting, visitor(n), source(2000+n)) }) // ends with acting
	}
	nemesis.rage(source(1), lasting)
	r.calm.Store(true)
	stop()
	writing.Wait()
	r.settle()
	h := r.end()
	h.Seed = r.seed
	r.verdict(h)
}

func visitor(n int) string { return fmt.Sprintf("visitor-%03d", n) }

// settle waits until nothing can have an effect any more and all viewers must be
// current.
func (r *run) settle() {
	timer := time.NewTimer(effectWithin + checker.Soon*time.Microsecond)
	defer timer.Stop()
	<-timer.C
}

// end reads what is stored, and returns all that happened.
func (r *run) end() *checker.History {
	h := r.record.history()
	asked := strings.Join(r.names, `","`)
	for _, name := range r.names {
		h.Final = append(h.Final, checker.Final{Topic: name, Mine: map[string]int64{}})
	}
	for n := range visitors {
		for i := range instances {
			if n > 0 && i > 0 {
				break // one instance tells of each visitor, all tell of one
			}
			status, text, err := r.ask(try{instance: i, patience: answerWithin}, "POST", "/v1/counts",
				fmt.Sprintf(`{"topics":["%s"],"visitor":%q}`, asked, visitor(n)), "")
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
				f.Count, f.Version, f.Mine[visitor(n)] = count.Count, count.Version, count.Mine
			}
		}
	}
	for _, f := range h.Final {
		if stored := r.stored(f.Topic); stored != f.Count {
			r.t.Errorf("%s reads as %d, and the store has %d", f.Topic, f.Count, stored)
		}
	}
	return h
}

// verdict judges what happened, and that enough did.
func (r *run) verdict(h *checker.History) {
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
	r.t.Logf("seed %d: writes %v, %d faults, %d connections that saw %d frames, %d reads", r.seed, outcomes, len(h.Faults), len(h.Connections), seen, len(h.Reads))
	if open != viewers {
		r.t.Errorf("at the end %d of %d viewers are connected and current", open, viewers)
	}
	if outcomes[checker.Acknowledged] < 100 || outcomes[checker.Unknown] == 0 || len(h.Faults) == 0 || seen < 1000 {
		r.t.Error("too little happened for a judgement")
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

// storedIn returns what reads counts from a Redis itself.
func storedIn(server func() *redistest.Server) func(string) int64 {
	return func(topic string) int64 {
		var n int64
		_, _ = fmt.Sscan(fmt.Sprint(server().Do("HGET", "tally:{"+topic+"}:count", "n")), &n)
		return n
	}
}
