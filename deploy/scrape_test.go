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

// startPrometheus starts Prometheus with the configuration that is shipped, of which
// only the instances are this place's own, and returns its URL.
func startPrometheus(t *testing.T, instances ...*processtest.Instance) string {
	t.Helper()
	needs(t, "prometheus")
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
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := processtest.Start(t, "prometheus", nil, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	processtest.Eventually(t, "Prometheus", func() bool {
		if server.HasEnded() {
			t.Fatalf("prometheus ended:\n%s", server.Log)
		}
		status, _ := processtest.Get("http://" + address + "/-/ready")
		return status == http.StatusOK
	})
	return "http://" + address
}

// ask returns the series that an expression has now.
func ask(t *testing.T, prometheus, expression string) (series []json.RawMessage) {
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

// alerting returns the states of the alerts that are not at rest; rules that cannot be
// evaluated fail the test.
func alerting(t *testing.T, prometheus string) map[string]string {
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

// asked are the panels that an operator was promised.
var asked = []string{"Viewers", "Likes a second", "Delivery lag", "Stale instances", "Viewers that left, by reason"}

// What Prometheus makes of an instance that serves fills every panel and wakes nobody;
// of one that was killed it does.
func TestPrometheusFillsTheDashboardAndNoticesADeadInstance(t *testing.T) {
	t.Parallel()
	const topic = "default/likes/hello"
	instances, _ := share(t, 2, "--drain", "0s", "--rate-limit", "off")
	prometheus := startPrometheus(t, instances...)
	openStream(t, client, instances[0].URL, topic)
	openSocket(t, client, instances[1].URL, topic)
	startPressing(t, instances[0].URL, topic)
	panels := map[string]string{}
	for where, expression := range expressions(t) {
		if title, ok := strings.CutPrefix(where, "panel "); ok {
			panels[title] = strings.ReplaceAll(expression, "$instance", ".*")
		}
	}
	for _, title := range asked {
		found := false
		for where := range panels {
			found = found || strings.HasPrefix(where, title+": ")
		}
		if !found {
			t.Errorf("the dashboard has no panel %s", title)
		}
	}
	for where, expression := range panels {
		if strings.Contains(expression, "redis_node_usable") { // of a Cluster
			ask(t, prometheus, expression)
			continue
		}
		processtest.Eventually(t, "figures of the panel "+where, func() bool { return len(ask(t, prometheus, expression)) > 0 })
	}
	if states := alerting(t, prometheus); len(states) > 0 {
		t.Errorf("nothing is wrong, and there are alerts: %v", states)
	}
	instances[1].Kill()
	processtest.Eventually(t, "an alert", func() bool { return alerting(t, prometheus)["TallycastInstanceGone"] != "" })
}
