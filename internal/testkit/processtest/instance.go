package processtest

import (
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Instance is the program while it serves.
type Instance struct {
	*Process
	URL      string // of its public listener, with the base path
	Internal string // URL of its internal listener; empty where there is none
}

// Address returns host:port of the public listener.
func (i *Instance) Address() string {
	address, _, _ := strings.Cut(strings.TrimPrefix(i.URL, "http://"), "/")
	return address
}

// Serve starts the program with the environment and flags given and waits until it
// says what it serves. What it needs to run beside others, free ports and a store
// of its own, it gets where they leave it out.
func Serve(t testing.TB, binary string, env []string, args ...string) *Instance {
	t.Helper()
	i := &Instance{Process: Start(t, binary, env, withDefaults(t, env, args)...)}
	i.URL, i.Internal = AwaitServing(t, i.Log, func() bool {
		if i.HasEnded() {
			t.Fatalf("it ended with %d:\n%s", i.Command.ProcessState.ExitCode(), i.Log)
		}
		return false
	})
	return i
}

// AwaitServing waits for the log record that says what is served, or until over holds,
// and returns the URLs of both listeners.
func AwaitServing(t testing.TB, log *LogBuffer, over func() bool) (public, internal string) {
	t.Helper()
	var record map[string]any
	Eventually(t, "the line that says what is served", func() bool {
		record = log.Record("serving")
		return record != nil || over()
	})
	public, _ = record["url"].(string)
	if address, _ := record["internal"].(string); address != "" {
		internal = "http://" + address
	}
	return public, internal
}

// AwaitReady waits until the instance calls itself ready, or ended.
func (i *Instance) AwaitReady() {
	i.t.Helper()
	Eventually(i.t, "readiness", func() bool {
		status, _ := Get(i.Internal + "/readyz")
		return status == http.StatusOK || i.HasEnded()
	})
}

// Metric returns the value of a line of the instance's metrics, named with its
// labels; -1 where it is not there.
func (i *Instance) Metric(name string) float64 {
	i.t.Helper()
	status, body := Get(i.Internal + "/metrics")
	if status != http.StatusOK {
		i.t.Fatalf("metrics: %d %s", status, body)
	}
	return MetricValue(i.t, body, name)
}

// LastMetrics waits for the end of an instance that drains, and returns the last page of
// metrics that it gave until then.
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

// MetricValue returns what a page of metrics says of one, with its labels; -1 where nothing.
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

// withDefaults adds flags to args for what neither they nor env give.
func withDefaults(t testing.TB, env, args []string) []string {
	given := func(name string) bool {
		variable := "TALLYCAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "="
		return slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, variable) }) ||
			slices.ContainsFunc(args, func(arg string) bool { return arg == "--"+name || strings.HasPrefix(arg, "--"+name+"=") })
	}
	hasPlatforms := func(variable string) bool {
		return slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, variable+"=") })
	}
	args = slices.Clone(args)
	if !given("listen") && !hasPlatforms("PORT") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	if !given("internal-listen") {
		args = append(args, "--internal-listen", "127.0.0.1:0")
	}
	if !given("store") && !hasPlatforms("REDIS_URL") {
		args = append(args, "--store", "sqlite:"+filepath.Join(t.TempDir(), "tally.db"))
	}
	return args
}
