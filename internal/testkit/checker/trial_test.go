package checker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	// promptly is how long a write may take that a fault does not concern: less than one
	// that waits for what is broken.
	promptly = time.Second
	// mostLines is how many warnings and errors one instance logs of one fault of one
	// Redis: it may have phases. mostInAll counts what it says at all.
	mostLines, mostInAll = 4, 12
	// starved is a machine that takes so long for what waits for nothing that a store
	// looks away though it is not, and the instances say so.
	starved = 1500 * time.Millisecond
)

// few are enough for one fault.
var few = crowd{visitors: 8, viewers: 6, pause: 400 * time.Millisecond, faithful: true}

// trial is a fault that comes alone, to a service with visitors and viewers.
type trial struct {
	scene func(t *testing.T) *scene
	fault func(r *run) fault
}

// stand lets each fault of a table come to a service of its own, all at the same time.
func stand(t *testing.T, trials map[string]trial) {
	for name, trial := range trials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t, uint64(time.Now().UnixNano()), trial.scene(t), few)
			r.start()
			r.stands(trial.fault(r))
		})
	}
}

// stands lets the fault come and go, and asks: is every acknowledged write counted
// exactly once? Does every viewer show the stored number within 5 s of the fault's
// end? Did the operator see it, in metrics, readiness and one clear line of the log,
// without a flood?
func (r *run) stands(f fault) {
	r.t.Helper()
	r.underWay(0)
	told := r.listen(f.sign)
	event := checker.Fault{Name: f.name, Began: now(), Split: f.split, Forgets: f.forgets, Clock: f.clock}
	if end := f.begin(nil); end != nil {
		told.meanwhile()
		wait(f.lasts - time.Duration(now()-event.Began)*time.Microsecond)
		end()
	}
	event.Ended = now()
	r.record.broke(event)
	r.underWay(event.Ended) // again, after a fault that lasted
	r.stopActing()
	r.settle()
	h := r.end()
	r.verdict(h)
	told.afterwards()
	r.spared(h, f, event)
}

// underWay waits until each instance acknowledged a write to each topic that was called
// after a moment, and all viewers were told that they are current. An instance that has
// not written a metric yet reads its rule first, from a node that a fault may concern.
func (r *run) underWay(since checker.Moment) {
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

// spared checks that writes which the fault did not concern were acknowledged.
func (r *run) spared(h *checker.History, f fault, event checker.Fault) {
	r.t.Helper()
	if f.spares == nil {
		return
	}
	n := 0
	for _, w := range h.Writes {
		if w.Called < event.Began || w.Returned > event.Ended || !f.spares(w) {
			continue
		}
		n++
		took := time.Duration(w.Returned-w.Called) * time.Microsecond
		if w.Answer == "store_unavailable" && r.slow() < starved || took > promptly+r.slow() {
			r.t.Errorf("%s asserted on %s through instance %d, which is sound, and was answered %s %q after %s",
				w.Visitor, w.Topic, w.Instance, w.Outcome, w.Answer, took)
		}
	}
	if n == 0 && event.Ended-event.Began > checker.Moment(time.Second/time.Microsecond) {
		r.t.Error("nobody wrote where the fault does not reach")
	}
}

// listener hears what people are told of a fault.
type listener struct {
	r       *run
	sign    sign
	began   checker.Moment
	before  map[*processtest.Instance]float64 // the figure
	logged  map[*processtest.Instance]int     // bytes of the log
	at      []*processtest.Instance           // the instances as they were
	figured map[*processtest.Instance]bool    // the figure told of it
}

func (r *run) listen(s sign) *listener {
	l := &listener{
		r: r, sign: s, began: now(), at: append([]*processtest.Instance(nil), r.instances...),
		before: map[*processtest.Instance]float64{}, logged: map[*processtest.Instance]int{}, figured: map[*processtest.Instance]bool{},
	}
	for _, i := range r.instances {
		if s.figure.name != "" {
			l.before[i] = i.Metric(s.figure.name)
		}
		l.logged[i] = len(i.Log.String())
	}
	return l
}

// by returns the instances that are to notice.
func (l *listener) by() []*processtest.Instance {
	if l.sign.by == nil {
		return l.at
	}
	return l.sign.by()
}

// noticed tells whether the instance's figure told of the fault, now or before.
func (l *listener) noticed(i *processtest.Instance) bool {
	f := l.sign.figure
	if f.name == "" {
		return true
	}
	asked := []*processtest.Instance{i}
	if f.shared {
		asked = l.by()
	}
	return slices.ContainsFunc(asked, func(i *processtest.Instance) bool {
		l.figured[i] = l.figured[i] || f.tells(l.before[i], i.Metric(f.name))
		return l.figured[i]
	})
}

// meanwhile waits until a fault that lasts is known.
func (l *listener) meanwhile() {
	t := l.r.t
	t.Helper()
	for _, i := range l.by() {
		if l.sign.ready == "" {
			continue
		}
		processtest.Eventually(t, "readiness that says "+l.sign.ready, func() bool {
			l.noticed(i)
			_, body := processtest.Get(i.Internal + "/readyz")
			return strings.Contains(body, l.sign.ready)
		})
		processtest.Eventually(t, "a line that says "+l.sign.log, func() bool {
			return strings.Contains(i.Log.String()[l.logged[i]:], l.sign.log)
		})
		processtest.Eventually(t, "the figure "+l.sign.figure.name, func() bool { return l.noticed(i) })
	}
	if l.sign.stale == always {
		processtest.Within(t, 10*time.Second+l.r.slow(), "viewers that are told that numbers may be old", func() bool { return l.toldStale() })
	}
}

// toldStale tells whether all viewers of the instances that notice were told that
// numbers may be old.
func (l *listener) toldStale() bool {
	for _, c := range l.r.record.history().Connections {
		told := c.Stale || len(c.Doubts) > 0 && c.Doubts[len(c.Doubts)-1].Ended > l.began
		if c.Ended == 0 && l.concerns(c.Instance) && !told {
			return false
		}
	}
	return true
}

// concerns tells whether an instance of the run is one that is to notice.
func (l *listener) concerns(instance int) bool {
	return slices.Contains(l.by(), l.at[instance])
}

// afterwards checks what was told when all is over.
func (l *listener) afterwards() {
	t := l.r.t
	t.Helper()
	for _, i := range l.by() {
		processtest.Eventually(t, "the figure "+l.sign.figure.name, func() bool { return l.noticed(i) })
		l.checkLog(i, l.sign.log)
	}
	for n, i := range l.r.instances {
		processtest.Within(t, checker.Soon*time.Microsecond+l.r.slow(), "readiness as before", func() bool {
			status, body := processtest.Get(i.Internal + "/readyz")
			return status == 200 && strings.Contains(body, `"store":{"status":"up"}`)
		})
		if i == l.at[n] && !l.concerns(n) {
			l.checkLog(i, "")
		}
	}
	if l.sign.stale == always && !l.toldStale() {
		t.Error("viewers were not told that numbers may be old")
	}
	for _, c := range l.r.record.history().Connections {
		for _, d := range c.Doubts {
			if d.Ended > l.began && l.at[c.Instance] == l.r.instances[c.Instance] && (!l.concerns(c.Instance) || l.sign.stale == never) && l.r.slow() < starved {
				t.Errorf("%s, of instance %d, was told that numbers may be old, though nothing it shows is", c.Name, c.Instance)
			}
		}
	}
}

// checkLog checks what an instance logged since the fault began: one line that says
// what is wrong, no flood; nothing wrong where want is empty.
func (l *listener) checkLog(i *processtest.Instance, want string) {
	l.r.t.Helper()
	text := i.Log.String()[l.logged[i]:]
	var wrong []string
	said := 0
	for line := range strings.Lines(text) {
		if want != "" && strings.Contains(line, want) {
			said++
		}
		if !strings.Contains(line, `"level":"WARN"`) && !strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "append-only file is off") {
			continue
		}
		wrong = append(wrong, strings.TrimSpace(line))
	}
	lines := strings.Count(text, "\n")
	switch {
	case want == "" && len(wrong) > 0 && l.r.slow() < starved:
		l.r.t.Errorf("nothing is wrong, and the log says %q", wrong)
	case want != "" && said == 0:
		l.r.t.Errorf("no line says %q: %q", want, wrong)
	case len(wrong) > mostLines*max(1, len(l.r.servers)) || lines > mostInAll*max(1, len(l.r.servers)):
		l.r.t.Errorf("%d warnings and errors, %d lines, are a flood: %q", len(wrong), lines, wrong)
	}
}
