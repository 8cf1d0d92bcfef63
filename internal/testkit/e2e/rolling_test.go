package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// shippedNginx is the shipped configuration of nginx.
const shippedNginx = "../../../deploy/nginx.conf"

// likers send likes, each of another visitor, and retry after 503.
type likers struct {
	client *client
	topic  string
	stop   context.CancelFunc
	liking sync.WaitGroup

	mu           sync.Mutex
	acknowledged int64
	retried      int      // likes that got a 503 first
	failures     []string // other errors
}

// startLikers sends likes to an address until [likers.close], with the test at the latest.
func startLikers(t testing.TB, address, topic string) *likers {
	const at = 4
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &likers{client: newClient(t, "http://"+address), topic: topic, stop: stop}
	t.Cleanup(l.close)
	var next int
	for range at {
		l.liking.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				l.mu.Lock()
				n := next
				next++
				l.mu.Unlock()
				l.like(visitor(n))
				sleep(20 * time.Millisecond)
			}
		})
	}
	return l
}

// close stops and waits for the likes in flight.
func (l *likers) close() {
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
				l.retried++
			}
		case err == nil && a.status == http.StatusServiceUnavailable && tries < 5:
			l.mu.Unlock()
			sleep(time.Second) // as Retry-After says
			continue
		case err != nil:
			l.failures = append(l.failures, err.Error())
		default:
			l.failures = append(l.failures, clip(a.body))
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

// sleep waits between two requests of a client.
func sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// A rolling restart loses no like, spreads reconnects over the drain, and all pages come
// back.
func TestRollingRestart_LikesAndPages(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/rolling"
	pages, drain := 210, 4*time.Second
	if processtest.Long() {
		pages, drain = 2000, 10*time.Second
	}
	const flush = "500ms" // few frames: the test is not about the cost of fan-out
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
	crowd := openCrowd(t, nginx.Address, topic, pages)
	likers := startLikers(t, nginx.Address, topic)

	var bursts []string
	for i := range all {
		held := int(all[i].Metric("tallycast_viewers"))
		began := time.Now()
		all[i].Terminate()
		checkEnding(t, all[i], drain)
		if code := all[i].ExitCode(); code != 0 {
			t.Errorf("exit %d", code)
		}
		processtest.Eventually(t, "its pages are disconnected", func() bool { return len(crowd.disconnects(began)) >= held })
		if burst := findBurst(crowd.disconnects(began), began, drain); burst != "" {
			bursts = append(bursts, burst)
		}
		all[i] = processtest.Serve(t, binary, nil, args[i]...)
		all[i].AwaitReady()
		t.Logf("instance %d held %d pages; live now: %d", i, held, crowd.current())
	}
	// A process that gets no CPU for a second disconnects its pages late. It does not happen
	// to all instances, except if they do not spread the disconnects.
	if len(bursts) == len(all) {
		t.Errorf("no instance spread the disconnects: %q", bursts)
	}
	restarted := time.Now()
	processtest.Eventually(t, "all pages are live", func() bool { return crowd.current() == pages })
	t.Logf("all pages were back %s after the last restart", time.Since(restarted).Round(10*time.Millisecond))
	likers.close()
	processtest.Within(t, soon, "every page shows the stored count", func() bool { return crowd.showing(likers.acknowledged) == pages })
	for _, i := range all {
		if c := newClient(t, i.URL).read(topic); c.Count != likers.acknowledged {
			t.Errorf("%d likes were acknowledged, %d are counted", likers.acknowledged, c.Count)
		}
	}
	refused := 0
	for n, p := range crowd.pages {
		refused += p.refused
		if len(p.violations) > 0 {
			t.Errorf("page %d: %v", n, p.violations)
			break
		}
	}
	t.Logf("%d likes, %d of them after a retry; pages were refused %d times", likers.acknowledged, likers.retried, refused)
	if len(likers.failures) > 0 || likers.acknowledged < 100 {
		t.Errorf("%d likes acknowledged; %d refused: %v", likers.acknowledged, len(likers.failures), likers.failures[:min(3, len(likers.failures))])
	}
}

// checkEnding checks readiness, metrics and log of a draining instance.
func checkEnding(t *testing.T, i *processtest.Instance, drain time.Duration) {
	t.Helper()
	processtest.Within(t, drain/2, "/readyz says draining", func() bool {
		status, body := processtest.Get(i.Internal + "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	last := i.LastMetrics()
	if ready, left := processtest.MetricValue(t, last, "tallycast_ready"), processtest.MetricValue(t, last, `tallycast_viewers_left_total{reason="draining"}`); ready != 0 || left <= 0 {
		t.Errorf("last metrics: ready %v, %v viewers left by draining", ready, left)
	}
	if begun, ended := len(i.Log.Records("draining")), len(i.Log.Records("ended")); begun != 1 || ended != 1 {
		t.Errorf("%d records of draining, %d of the end", begun, ended)
	}
	if strings.Contains(i.Log.String(), `"level":"ERROR"`) {
		t.Error("errors in the log")
	}
}

// findBurst returns how disconnects are not spread over the drain; "" if they are.
func findBurst(cuts []time.Time, began time.Time, drain time.Duration) string {
	slices.SortFunc(cuts, time.Time.Compare)
	if len(cuts) < 50 {
		return fmt.Sprintf("only %d pages were disconnected", len(cuts))
	}
	// Half of the pages must need at least a fifth of the drain.
	for i := 0; i+len(cuts)/2 < len(cuts); i++ {
		if took := cuts[i+len(cuts)/2].Sub(cuts[i]); took < drain/5 {
			return fmt.Sprintf("half of %d pages were disconnected within %s", len(cuts), took)
		}
	}
	if last := cuts[len(cuts)-1].Sub(began); last < drain*3/4 {
		return fmt.Sprintf("the last page was disconnected after %s of a drain of %s", last, drain)
	}
	return ""
}
