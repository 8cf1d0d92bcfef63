package deploy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// startPrometheus starts Prometheus with the shipped configuration and returns its URL.
// The test replaces the instances, and the interval of scrapes and rules, to wait less.
func startPrometheus(t *testing.T, flags []string, instances ...*processtest.Instance) string {
	t.Helper()
	requireTool(t, "prometheus")
	dir, address := t.TempDir(), processtest.FreeAddress(t)
	for _, name := range []string{"prometheus.yml", "alerts.yml"} {
		text, err := os.ReadFile(filepath.Join("prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		var targets []string
		for _, i := range instances {
			targets = append(targets, `"`+strings.TrimPrefix(i.Internal, "http://")+`"`)
		}
		text = regexp.MustCompile(`"tally-.*"`).ReplaceAll(text, []byte(strings.Join(targets, ", ")))
		text = regexp.MustCompile(`_interval: .*`).ReplaceAll(text, []byte("_interval: 1s"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := processtest.Start(t, "prometheus", nil, append(flags, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)...)
	processtest.Eventually(t, "Prometheus", func() bool {
		if server.HasEnded() {
			t.Fatalf("prometheus ended:\n%s", server.Log)
		}
		status, _ := processtest.Get("http://" + address + "/-/ready")
		return status == http.StatusOK
	})
	return "http://" + address
}

// query returns the series of an expression.
func query(t *testing.T, prometheus, expression string) (series []json.RawMessage) {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	_, body := processtest.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		t.Errorf("%s: %v %s", expression, err, answer.Error)
	}
	return answer.Data.Result
}

// alerts returns the states of pending and firing alerts. A rule that cannot be evaluated
// fails the test.
func alerts(t *testing.T, prometheus string) map[string]string {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	_, body := processtest.Get(prometheus + "/api/v1/rules")
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	states := map[string]string{}
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			if rule.Health == "err" {
				t.Errorf("%s: %s", rule.Name, rule.LastError)
			}
			if rule.State != "inactive" && rule.State != "unknown" {
				states[rule.Name] = rule.State
			}
		}
	}
	return states
}

// panelExpressions returns the expressions of the dashboard, for all instances.
func panelExpressions(t *testing.T) map[string]string {
	t.Helper()
	panels := map[string]string{}
	for name, expression := range expressions(t) {
		if title, ok := strings.CutPrefix(name, "panel "); ok {
			panels[title] = strings.ReplaceAll(expression, "$instance", ".*")
		}
	}
	return panels
}

// A Prometheus that asks for native histograms gets them, and the dashboard shows them.
func TestPrometheus_NativeHistograms(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/hello"
	instances, _ := startInstances(t, 1, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
	prometheus := startPrometheus(t, []string{"--enable-feature=native-histograms"}, instances...)
	openStream(t, client, instances[0].URL, topic)
	startLiking(t, instances[0].URL, topic)
	for _, name := range []string{
		"tallycast_write_duration_seconds", "tallycast_http_request_duration_seconds", "tallycast_delivery_lag_seconds", "tallycast_redis_round_trip_duration_seconds",
	} {
		processtest.Eventually(t, name, func() bool {
			return len(query(t, prometheus, "histogram_count(rate("+name+"[1m])) > 0")) > 0
		})
		shown := 0
		for panel, expression := range panelExpressions(t) {
			if strings.Contains(expression, name+"_bucket") {
				shown++
				processtest.Eventually(t, "values in the panel "+panel, func() bool { return len(query(t, prometheus, "("+expression+") < 60")) > 0 })
			}
		}
		if shown == 0 {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// promisedPanels are the panels that every dashboard has.
var promisedPanels = []string{"Viewers", "Likes a second", "Delivery lag", "Stale instances", "Viewers that left, by reason"}

// Instances fill every panel of the dashboard and cause no alert. A killed instance causes
// an alert.
func TestPrometheus_PanelsAndAlerts(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/hello"
	instances, _ := startInstances(t, 2, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
	prometheus := startPrometheus(t, nil, instances...)
	openStream(t, client, instances[0].URL, topic)
	openSocket(t, client, instances[1].URL, topic)
	startLiking(t, instances[0].URL, topic)
	panels := panelExpressions(t)
	for _, title := range promisedPanels {
		found := false
		for name := range panels {
			found = found || strings.HasPrefix(name, title+": ")
		}
		if !found {
			t.Errorf("the dashboard has no panel %s", title)
		}
	}
	for name, expression := range panels {
		if strings.Contains(expression, "redis_node_usable") { // only in a Cluster
			query(t, prometheus, expression)
			continue
		}
		processtest.Eventually(t, "values in the panel "+name, func() bool { return len(query(t, prometheus, expression)) > 0 })
	}
	// A busy machine may miss a scrape, which causes an alert until the next one.
	processtest.Eventually(t, "no alert without a fault", func() bool { return len(alerts(t, prometheus)) == 0 })
	instances[1].Kill()
	processtest.Eventually(t, "an alert", func() bool { return alerts(t, prometheus)["TallycastInstanceGone"] != "" })
}
