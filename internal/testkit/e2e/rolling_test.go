package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// shippedNginx is the configuration that operators get.
const shippedNginx = "../../../deploy/nginx.conf"

// likers send likes through one address without end, each of another visitor, and
// try again while they are told that the store is away.
type likers struct {
	client *client
	topic  string
	stop   context.CancelFunc
	liking sync.WaitGroup

	mu           sync.Mutex
	acknowledged int64
	healed       int      // likes that were answered 503 first
	wrong        []string // what else they were answered
}

// startLikers sends likes at an address, several at once, until [likers.end], at the
// latest that of the test.
func startLikers(t testing.TB, address, topic string) *likers {
	const at = 4
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &likers{client: newClient(t, "http://"+address), topic: topic, stop: stop}
	t.Cleanup(l.end)
	var next int
	for range at {
		l.liking.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				l.mu.Lock()
				n := next
				next++
				l.mu.Unlock()
				l.like(visitor(n))
				pause(20 * time.Millisecond)
			}
		})
	}
	return l
}

// end waits for the likes that are in flight.
func (l *likers) end() {
	l.stop()
	l.liking.Wait()
}

// like sends one like until it is acknowledged.
func (l *likers) like(visitor string) {
	for tries := 0; ; tries++ {
		a, err := l.client.try("POST", "/v1/"+l.topic, "", "Tally-Visitor: "+visitor)
		l.mu.Lock()
		switch {
		case err == nil && a.status == http.StatusOK:
			l.acknowledged++
			if tries > 0 {
				l.healed++
			}
		case err == nil && a.status == http.StatusServiceUnavailable && tries < 5:
			l.mu.Unlock()
			pause(time.Second) // as the widgets do, and Retry-After says
			continue
		case err != nil:
			l.wrong = append(l.wrong, err.Error())
		default:
			l.wrong = append(l.wrong, clip(a.body))
		}
		l.mu.Unlock()
		return
	}
}

// count returns how many likes were acknowledged so far.
func (l *likers) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledged
}

// pause lets time pass between what a client sends.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func TestARollingRestartLosesNoLikeAndBringsEveryPageBack(t *testing.T) {
	t.Parallel()
	const pages, drain, topic = 2000, 10 * time.Second, "default/likes/rolling"
	// 20 changes a second on each page would be a test of what a fan-out costs.
	const flush = "500ms"
	redis := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	var all []*processtest.Instance
	var args [][]string
	for i := range 3 {
		args = append(args, append([]string{
			"--listen", processtest.FreeAddress(t), "--store", redis.URL(0), "--trusted-proxy", "127.0.0.1",
			"--drain", drain.String(), "--flush-interval", flush,
		}, unlimited...))
		all = append(all, processtest.Serve(t, binary, nil, args[i]...))
	}
	for _, i := range all {
		i.AwaitReady()
	}
	nginx := processtest.StartNginx(t, shippedNginx, all...)
	crowd := gatherCrowd(t, nginx.Address, topic, pages)
	likers := startLikers(t, nginx.Address, topic)

	for i := range all {
		held := int(all[i].Metric("tallycast_viewers"))
		began := time.Now()
		all[i].Terminate()
		checkEnding(t, all[i], drain)
		if code := all[i].ExitCode(); code != 0 {
			t.Errorf("exit %d", code)
		}
		eventually(t, "the pages that it held know it", func() bool { return len(crowd.cuts(began)) >= held })
		checkSpread(t, crowd.cuts(began), began, drain)
		all[i] = processtest.Serve(t, binary, nil, args[i]...)
		all[i].AwaitReady()
		t.Logf("instance %d held %d pages; all are back: %d", i, held, crowd.current())
	}
	restarted := time.Now()
	eventually(t, "every page is back", func() bool { return crowd.current() == pages })
	t.Logf("all pages were back %s after the last restart", time.Since(restarted).Round(10*time.Millisecond))
	likers.end()
	within(t, soon, "every page shows what is stored", func() bool { return crowd.show(likers.acknowledged) == pages })
	for _, i := range all {
		if c := newClient(t, i.URL).read(topic); c.Count != likers.acknowledged {
			t.Errorf("%d likes were acknowledged, %d are counted", likers.acknowledged, c.Count)
		}
	}
	refused := 0
	for n, p := range crowd.pages {
		refused += p.refused
		if len(p.wrong) > 0 {
			t.Errorf("page %d: %v", n, p.wrong)
			break
		}
	}
	t.Logf("%d likes, of which %d were told to come again; %d times a page found no place", likers.acknowledged, likers.healed, refused)
	if len(likers.wrong) > 0 || likers.acknowledged < 100 {
		t.Errorf("%d likes acknowledged; %d refused: %v", likers.acknowledged, len(likers.wrong), likers.wrong[:min(3, len(likers.wrong))])
	}
}

// checkEnding checks what the operator sees of an instance that was asked to end.
func checkEnding(t *testing.T, i *processtest.Instance, drain time.Duration) {
	t.Helper()
	within(t, drain/2, "it says that it ends", func() bool {
		status, body := processtest.Get(i.Internal + "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	last := i.LastMetrics()
	if ready, left := processtest.MetricValue(t, last, "tallycast_ready"), processtest.MetricValue(t, last, `tallycast_viewers_left_total{reason="draining"}`); ready != 0 || left <= 0 {
		t.Errorf("metrics said last that ready is %v, and that %v pages left since it drains", ready, left)
	}
	if begun, ended := len(i.Log.Records("draining")), len(i.Log.Records("ended")); begun != 1 || ended != 1 {
		t.Errorf("%d lines say that it drains, %d that it ended", begun, ended)
	}
	if strings.Contains(i.Log.String(), `"level":"ERROR"`) {
		t.Error("it complains of its end")
	}
}

// checkSpread checks that pages were cut off over the drain and not all at once.
func checkSpread(t *testing.T, cuts []time.Time, began time.Time, drain time.Duration) {
	t.Helper()
	slices.SortFunc(cuts, time.Time.Compare)
	if len(cuts) < 100 {
		t.Errorf("only %d pages were cut off", len(cuts))
		return
	}
	// A tenth of the pages leaves in a tenth of the time; half of it is enough.
	for i := 0; i+len(cuts)/2 < len(cuts); i++ {
		if took := cuts[i+len(cuts)/2].Sub(cuts[i]); took < drain/5 {
			t.Errorf("half of %d pages were cut off within %s", len(cuts), took)
			return
		}
	}
	if last := cuts[len(cuts)-1].Sub(began); last < drain*3/4 {
		t.Errorf("the last page was cut off after %s, and the drain is %s", last, drain)
	}
}
