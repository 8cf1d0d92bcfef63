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
	deploy func(t *testing.T) *deployment
	fault  func(r *run) fault
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
			r := newRun(t, uint64(time.Now().UnixNano()), trial.deploy(t), trialLoad)
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
	o := &observer{
		r: r, signals: s, began: now(), started: append([]*processtest.Instance(nil), r.instances...),
		metricBefore: map[*processtest.Instance]float64{}, logOffsets: map[*processtest.Instance]int{}, changed: map[*processtest.Instance]bool{},
	}
	for _, i := range r.instances {
		if s.metric.name != "" {
			o.metricBefore[i] = i.Metric(s.metric.name)
		}
		o.logOffsets[i] = len(i.Log.String())
	}
	return o
}

// expected returns the instances that must detect the fault.
func (o *observer) expected() []*processtest.Instance {
	if o.signals.instances == nil {
		return o.started
	}
	return o.signals.instances()
}

// metricChanged reports whether the instance's metric changed since the fault began.
func (o *observer) metricChanged(i *processtest.Instance) bool {
	f := o.signals.metric
	if f.name == "" {
		return true
	}
	asked := []*processtest.Instance{i}
	if f.anyInstance {
		asked = o.expected()
	}
	return slices.ContainsFunc(asked, func(i *processtest.Instance) bool {
		o.changed[i] = o.changed[i] || f.detects(o.metricBefore[i], i.Metric(f.name))
		return o.changed[i]
	})
}

// checkDuring waits for the signals during a fault.
func (o *observer) checkDuring() {
	t := o.r.t
	t.Helper()
	for _, i := range o.expected() {
		if o.signals.readyz == "" {
			continue
		}
		processtest.Eventually(t, "/readyz contains "+o.signals.readyz, func() bool {
			o.metricChanged(i)
			_, body := processtest.Get(i.Internal + "/readyz")
			return strings.Contains(body, o.signals.readyz)
		})
		processtest.Eventually(t, "the log contains "+o.signals.log, func() bool {
			return strings.Contains(i.Log.String()[o.logOffsets[i]:], o.signals.log)
		})
		processtest.Eventually(t, "a change of the metric "+o.signals.metric.name, func() bool { return o.metricChanged(i) })
	}
	if o.signals.stale == always {
		processtest.Within(t, 10*time.Second+o.r.maxSlowness(), "all viewers receive stale", func() bool { return o.allStale() })
	}
}

// allStale reports whether all viewers of the expected instances received stale.
func (o *observer) allStale() bool {
	for _, c := range o.r.record.history().Connections {
		received := c.Stale || len(c.StalePeriods) > 0 && c.StalePeriods[len(c.StalePeriods)-1].Ended > o.began
		if c.Ended == 0 && o.expects(c.Instance) && !received {
			return false
		}
	}
	return true
}

// expects reports whether an instance must detect the fault.
func (o *observer) expects(instance int) bool {
	return slices.Contains(o.expected(), o.started[instance])
}

// checkAfter checks the signals after the fault.
func (o *observer) checkAfter() {
	t := o.r.t
	t.Helper()
	for _, i := range o.expected() {
		processtest.Eventually(t, "a change of the metric "+o.signals.metric.name, func() bool { return o.metricChanged(i) })
		o.checkLog(i, o.signals.log)
	}
	for n, i := range o.r.instances {
		processtest.Within(t, checker.MaxLag*time.Microsecond+checker.RecoverySteps*o.r.maxSlowness(), "/readyz reports the store as up", func() bool {
			status, body := processtest.Get(i.Internal + "/readyz")
			return status == 200 && strings.Contains(body, `"store":{"status":"up"}`)
		})
		if i == o.started[n] && !o.expects(n) {
			o.checkLog(i, "")
		}
	}
	if o.signals.stale == always && !o.allStale() {
		t.Error("not all viewers received stale")
	}
	for _, c := range o.r.record.history().Connections {
		for _, stale := range c.StalePeriods {
			if stale.Ended > o.began && o.started[c.Instance] == o.r.instances[c.Instance] && (!o.expects(c.Instance) || o.signals.stale == never) && o.r.maxSlowness() < overloaded {
				t.Errorf("%s, of instance %d, received stale without a reason", c.Name, c.Instance)
			}
		}
	}
}

// checkLog checks the log since the fault began: one line contains want, and there are few
// lines. If want is empty, there is no warning or error.
func (o *observer) checkLog(i *processtest.Instance, want string) {
	o.r.t.Helper()
	text := i.Log.String()[o.logOffsets[i]:]
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
	case want == "" && len(warnings) > 0 && o.r.maxSlowness() < overloaded:
		o.r.t.Errorf("warnings without a fault: %q", warnings)
	case want != "" && found == 0:
		o.r.t.Errorf("no line contains %q: %q", want, warnings)
	case len(warnings) > maxWarnings*max(1, len(o.r.servers)) || lines > maxLines*max(1, len(o.r.servers)):
		o.r.t.Errorf("too many lines: %d warnings and errors, %d lines: %q", len(warnings), lines, warnings)
	}
}
