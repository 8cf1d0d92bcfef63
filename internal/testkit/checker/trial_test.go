package checker_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	// maxLatency is how long an unaffected write may take: less than a timeout.
	maxLatency = time.Second
	// maxWarnings and maxLines are how many warnings and errors, and lines at all, one
	// instance may log about one fault of one Redis server. A fault may have phases.
	maxWarnings, maxLines = 4, 12
	// overloaded is the slowness of a machine above which instances may report a store as
	// unavailable by mistake.
	overloaded = 1500 * time.Millisecond
)

// trialLoad is the load of a trial.
var trialLoad = load{visitors: 8, viewers: 6, pause: 400 * time.Millisecond, staysConnected: true}

// trial is one fault in one deployment.
type trial struct {
	scene func(t *testing.T) *deployment
	fault func(r *run) fault
}

// longOnly returns the names of trials that repeat a fault of another deployment: none
// unless the long form runs.
func longOnly(names ...string) []string {
	if processtest.Long() {
		return names
	}
	return nil
}

// runTrials runs trials in parallel, each with its own service.
func runTrials(t *testing.T, trials map[string]trial) {
	for name, trial := range trials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t, uint64(time.Now().UnixNano()), trial.scene(t), trialLoad)
			r.start()
			r.runTrial(trial.fault(r))
		})
	}
}

// runTrial injects the fault and ends it. It checks that every acknowledged write counts
// exactly once, that every viewer shows the stored count within 5 s after the fault, and
// that operators see the fault in metrics, readiness and a few log lines.
func (r *run) runTrial(f fault) {
	r.t.Helper()
	r.awaitTraffic(0)
	observer := r.observe(f.signals)
	event := checker.Fault{Name: f.name, Began: now(), Split: f.split, LosesData: f.losesData, SetsClock: f.setsClock}
	if end := f.begin(nil); end != nil {
		observer.checkDuring()
		sleep(f.minDuration - time.Duration(now()-event.Began)*time.Microsecond)
		end()
	}
	event.Ended = now()
	r.record.addFault(event)
	r.awaitTraffic(event.Ended)
	r.stopWrites()
	r.settle()
	h := r.readFinal()
	r.check(h)
	observer.checkAfter()
	r.checkUnaffected(h, f, event)
}

// awaitTraffic waits until each instance acknowledged a write to each topic after a moment,
// and all viewers are live. Before its first write to a metric, an instance reads the rule
// from a node that the fault may affect.
func (r *run) awaitTraffic(since checker.Moment) {
	r.t.Helper()
	processtest.Eventually(r.t, "writes through each instance to each topic, and viewers", func() bool {
		h := r.record.history()
		type pair struct {
			instance int
			topic    string
		}
		written, open := map[pair]bool{}, 0
		for _, w := range h.Writes {
			if w.Outcome == checker.Acknowledged && w.Called > since {
				written[pair{w.Instance, w.Topic}] = true
			}
		}
		for _, c := range h.Connections {
			if c.Ended == 0 && !c.Stale && len(c.Watched) > 0 {
				open++
			}
		}
		for _, i := range r.instances {
			if _, body := processtest.Get(i.Internal + "/readyz"); !strings.Contains(body, `"store":{"status":"up"`) {
				return false
			}
		}
		return len(written) == len(r.instances)*len(r.names) && open == r.viewers
	})
}

// checkUnaffected checks that the fault did not delay unaffected writes.
func (r *run) checkUnaffected(h *checker.History, f fault, event checker.Fault) {
	r.t.Helper()
	if f.unaffected == nil {
		return
	}
	n := 0
	for _, w := range h.Writes {
		if w.Called < event.Began || w.Returned > event.Ended || !f.unaffected(w) {
			continue
		}
		n++
		took := time.Duration(w.Returned-w.Called) * time.Microsecond
		if w.Answer == "store_unavailable" && r.maxSlowness() < cmp.Or(f.overloaded, overloaded) || took > maxLatency+r.maxSlowness() {
			r.t.Errorf("%s asserted on %s through instance %d, which the fault does not affect: %s %q after %s",
				w.Visitor, w.Topic, w.Instance, w.Outcome, w.Answer, took)
		}
	}
	if n == 0 && event.Ended-event.Began > checker.Moment(time.Second/time.Microsecond) {
		r.t.Error("there are no unaffected writes")
	}
}

// observer checks the signals of a fault.
type observer struct {
	r            *run
	signals      signals
	began        checker.Moment
	metricBefore map[*processtest.Instance]float64 // value of the metric
	logOffsets   map[*processtest.Instance]int     // length of the log before the fault
	started      []*processtest.Instance           // the instances before the fault
	changed      map[*processtest.Instance]bool    // whether the metric changed
}

func (r *run) observe(s signals) *observer {
	l := &observer{
		r: r, signals: s, began: now(), started: append([]*processtest.Instance(nil), r.instances...),
		metricBefore: map[*processtest.Instance]float64{}, logOffsets: map[*processtest.Instance]int{}, changed: map[*processtest.Instance]bool{},
	}
	for _, i := range r.instances {
		if s.metric.name != "" {
			l.metricBefore[i] = i.Metric(s.metric.name)
		}
		l.logOffsets[i] = len(i.Log.String())
	}
	return l
}

// expected returns the instances that must detect the fault.
func (l *observer) expected() []*processtest.Instance {
	if l.signals.instances == nil {
		return l.started
	}
	return l.signals.instances()
}

// metricChanged reports whether the instance's metric changed since the fault began.
func (l *observer) metricChanged(i *processtest.Instance) bool {
	f := l.signals.metric
	if f.name == "" {
		return true
	}
	asked := []*processtest.Instance{i}
	if f.anyInstance {
		asked = l.expected()
	}
	return slices.ContainsFunc(asked, func(i *processtest.Instance) bool {
		l.changed[i] = l.changed[i] || f.detects(l.metricBefore[i], i.Metric(f.name))
		return l.changed[i]
	})
}

// checkDuring waits for the signals during a fault.
func (l *observer) checkDuring() {
	t := l.r.t
	t.Helper()
	for _, i := range l.expected() {
		if l.signals.readyz == "" {
			continue
		}
		processtest.Eventually(t, "/readyz contains "+l.signals.readyz, func() bool {
			l.metricChanged(i)
			_, body := processtest.Get(i.Internal + "/readyz")
			return strings.Contains(body, l.signals.readyz)
		})
		processtest.Eventually(t, "the log contains "+l.signals.log, func() bool {
			return strings.Contains(i.Log.String()[l.logOffsets[i]:], l.signals.log)
		})
		processtest.Eventually(t, "a change of the metric "+l.signals.metric.name, func() bool { return l.metricChanged(i) })
	}
	if l.signals.stale == always {
		processtest.Within(t, 10*time.Second+l.r.maxSlowness(), "all viewers receive stale", func() bool { return l.allStale() })
	}
}

// allStale reports whether all viewers of the expected instances received stale.
func (l *observer) allStale() bool {
	for _, c := range l.r.record.history().Connections {
		received := c.Stale || len(c.StalePeriods) > 0 && c.StalePeriods[len(c.StalePeriods)-1].Ended > l.began
		if c.Ended == 0 && l.expects(c.Instance) && !received {
			return false
		}
	}
	return true
}

// expects reports whether an instance must detect the fault.
func (l *observer) expects(instance int) bool {
	return slices.Contains(l.expected(), l.started[instance])
}

// checkAfter checks the signals after the fault.
func (l *observer) checkAfter() {
	t := l.r.t
	t.Helper()
	for _, i := range l.expected() {
		processtest.Eventually(t, "a change of the metric "+l.signals.metric.name, func() bool { return l.metricChanged(i) })
		l.checkLog(i, l.signals.log)
	}
	for n, i := range l.r.instances {
		processtest.Within(t, checker.MaxLag*time.Microsecond+l.r.maxSlowness(), "/readyz reports the store as up", func() bool {
			status, body := processtest.Get(i.Internal + "/readyz")
			return status == 200 && strings.Contains(body, `"store":{"status":"up"}`)
		})
		if i == l.started[n] && !l.expects(n) {
			l.checkLog(i, "")
		}
	}
	if l.signals.stale == always && !l.allStale() {
		t.Error("not all viewers received stale")
	}
	for _, c := range l.r.record.history().Connections {
		for _, d := range c.StalePeriods {
			if d.Ended > l.began && l.started[c.Instance] == l.r.instances[c.Instance] && (!l.expects(c.Instance) || l.signals.stale == never) && l.r.maxSlowness() < overloaded {
				t.Errorf("%s, of instance %d, received stale without a reason", c.Name, c.Instance)
			}
		}
	}
}

// checkLog checks the log since the fault began: one line contains want, and there are few
// lines. If want is empty, there is no warning or error.
func (l *observer) checkLog(i *processtest.Instance, want string) {
	l.r.t.Helper()
	text := i.Log.String()[l.logOffsets[i]:]
	var warnings []string
	found := 0
	for line := range strings.Lines(text) {
		if want != "" && strings.Contains(line, want) {
			found++
		}
		if !strings.Contains(line, `"level":"WARN"`) && !strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "append-only file is off") {
			continue
		}
		warnings = append(warnings, strings.TrimSpace(line))
	}
	lines := strings.Count(text, "\n")
	switch {
	case want == "" && len(warnings) > 0 && l.r.maxSlowness() < overloaded:
		l.r.t.Errorf("warnings without a fault: %q", warnings)
	case want != "" && found == 0:
		l.r.t.Errorf("no line contains %q: %q", want, warnings)
	case len(warnings) > maxWarnings*max(1, len(l.r.servers)) || lines > maxLines*max(1, len(l.r.servers)):
		l.r.t.Errorf("too many lines: %d warnings and errors, %d lines: %q", len(warnings), lines, warnings)
	}
}
