package processtest

import (
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Instance is a running tallycast serve.
type Instance struct {
	*Process
	URL      string // of the public listener, with the base path
	Internal string // URL of the internal listener; empty if there is none
}

// Address returns host:port of the public listener.
func (i *Instance) Address() string {
	address, _, _ := strings.Cut(strings.TrimPrefix(i.URL, "http://"), "/")
	return address
}

// Serve starts an instance with the given environment and flags and waits until it
// listens. Unless they say otherwise, the instance gets free ports and its own store.
func Serve(t testing.TB, binary string, env []string, args ...string) *Instance {
	t.Helper()
	i := &Instance{Process: Start(t, binary, env, withDefaults(t, env, args)...)}
	i.URL, i.Internal = AwaitServing(t, i.Log, func() bool {
		if i.HasEnded() {
			t.Fatalf("the instance exited with %d:\n%s", i.Command.ProcessState.ExitCode(), i.Log)
		}
		return false
	})
	return i
}

// AwaitServing waits for the log record "serving", or until cancelled returns true, and
// returns the URLs of both listeners.
func AwaitServing(t testing.TB, log *LogBuffer, cancelled func() bool) (public, internal string) {
	t.Helper()
	var record map[string]any
	Eventually(t, "the log record serving", func() bool {
		record = log.Record("serving")
		return record != nil || cancelled()
	})
	public, _ = record["url"].(string)
	if address, _ := record["internal"].(string); address != "" {
		internal = "http://" + address
	}
	return public, internal
}

// AwaitReady waits until the instance is ready, or ended.
func (i *Instance) AwaitReady() {
	i.t.Helper()
	Eventually(i.t, "readiness", func() bool {
		status, _ := Get(i.Internal + "/readyz")
		return status == http.StatusOK || i.HasEnded()
	})
}

// Metric returns the value of a metric, named with its labels; -1 if it is missing.
func (i *Instance) Metric(name string) float64 {
	i.t.Helper()
	status, body := Get(i.Internal + "/metrics")
	if status != http.StatusOK {
		i.t.Fatalf("metrics: %d %s", status, body)
	}
	return MetricValue(i.t, body, name)
}

// LastMetrics waits until a draining instance ends and returns the last page of metrics
// that it served.
func (i *Instance) LastMetrics() (page string) {
	i.t.Helper()
	Eventually(i.t, "the end of "+i.Command.Path, func() bool {
		if status, body := Get(i.Internal + "/metrics"); status == http.StatusOK {
			page = body
		}
		return i.HasEnded()
	})
	return page
}

// MetricValue returns the value of a metric, named with its labels, in a page of metrics;
// -1 if it is missing.
func MetricValue(t testing.TB, page, name string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return value
		}
	}
	return -1
}

// withDefaults returns args, with flags for listeners and store added unless args or env
// set them.
func withDefaults(t testing.TB, env, args []string) []string {
	given := func(name string) bool {
		variable := "TALLYCAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "="
		return slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, variable) }) ||
			slices.ContainsFunc(args, func(arg string) bool { return arg == "--"+name || strings.HasPrefix(arg, "--"+name+"=") })
	}
	hasVariable := func(variable string) bool {
		return slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, variable+"=") })
	}
	args = slices.Clone(args)
	if !given("listen") && !hasVariable("PORT") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	if !given("internal-listen") {
		args = append(args, "--internal-listen", "127.0.0.1:0")
	}
	if !given("store") && !hasVariable("REDIS_URL") {
		args = append(args, "--store", "sqlite:"+filepath.Join(t.TempDir(), "tally.db"))
	}
	return args
}
