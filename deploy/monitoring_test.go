package deploy_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// metricName matches the names of the metrics in an expression.
var metricName = regexp.MustCompile(`\b(?:tallycast|process|go|redis)_[a-z_]+`)

// shownMetrics returns the names and the values of labels that an instance shows
// which has taken a like.
func shownMetrics(t *testing.T) (names map[string]bool, text string) {
	t.Helper()
	i := startInstance(t, "--store", redistest.Start(t, redistest.Options{}).URL(0))
	if status, _ := like(t, client, i.URL, "default/likes/hello", "visitor-1"); status != http.StatusOK {
		t.Fatalf("a like: %d", status)
	}
	status, text := processtest.Get(i.Internal + "/metrics")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d", status)
	}
	names = map[string]bool{}
	for line := range strings.Lines(text) {
		if name := metricName.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			names[name] = true
		}
	}
	return names, text
}

// expressions returns those of the dashboard and of the alerts, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	text, err := os.ReadFile("grafana/dashboards/tallycast.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query struct{ Query string }
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, variable := range dashboard.Templating.List {
		all["variable "+variable.Name] = variable.Query.Query
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+": "+target.Expr] = target.Expr
		}
	}
	if text, err = os.ReadFile("prometheus/alerts.yml"); err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &alerts); err != nil {
		t.Fatal(err)
	}
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			all["alert "+rule.Alert] = rule.Expr
		}
	}
	return all
}

// A metric that was renamed leaves a panel empty and an alert silent, which nobody
// would notice.
func TestDashboardAndAlertsAskForWhatIsThere(t *testing.T) {
	t.Parallel()
	names, text := shownMetrics(t)
	all := expressions(t)
	if len(all) < 20 {
		t.Fatalf("only %d expressions", len(all))
	}
	label := regexp.MustCompile(`\b(reason|limit)=~?"([^"$]*)"`)
	used := 0
	for where, expression := range all {
		for _, name := range metricName.FindAllString(expression, -1) {
			used++
			if !names[name] {
				t.Errorf("%s: there is no %s", where, name)
			}
		}
		for _, match := range label.FindAllStringSubmatch(expression, -1) {
			for value := range strings.SplitSeq(match[2], "|") {
				if !strings.Contains(text, match[1]+`="`+value+`"`) {
					t.Errorf("%s: there is no %s %q", where, match[1], value)
				}
			}
		}
	}
	if used == 0 {
		t.Error("no metric was looked for")
	}
}

func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("this test asks Prometheus's own check: apt-get install prometheus (%v)", err)
	}
	if out, err := exec.Command("promtool", "check", "config", "prometheus/prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// Each alert is explained to who gets it.
func TestTheREADMEExplainsEachAlert(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for where := range expressions(t) {
		if alert, ok := strings.CutPrefix(where, "alert "); ok && !strings.Contains(string(readme), "`"+alert+"`") {
			t.Errorf("deploy/README.md does not say what to do about %s", alert)
		}
	}
}
