package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// metricName matches the names of the metrics in an expression.
var metricName = regexp.MustCompile(`\b(?:tallycast|process|go|redis)_[a-z_]+`)

// instanceMetrics returns the names of an instance's metrics after a like, and the page.
func instanceMetrics(t *testing.T) (names map[string]bool, text string) {
	t.Helper()
	store := redistest.Start(t, redistest.Options{}).URL(0)
	i := startInstance(t, "--store", store, "--store-replica", store)
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
			if histogram, ok := strings.CutSuffix(name, "_bucket"); ok {
				names[histogram] = true // a native one
			}
		}
	}
	return names, text
}

// expressions returns the expressions of dashboard and alerts, by their place.
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

// All metrics and labels in the dashboard and the alerts exist. A missing one would leave a
// panel empty and an alert silent.
func TestMonitoring_MetricsExist(t *testing.T) {
	t.Parallel()
	names, text := instanceMetrics(t)
	all := expressions(t)
	if len(all) < 20 {
		t.Fatalf("only %d expressions", len(all))
	}
	label := regexp.MustCompile(`\b(reason|limit)=~?"([^"$]*)"`)
	used := 0
	for place, expression := range all {
		for _, name := range metricName.FindAllString(expression, -1) {
			used++
			if !names[name] {
				t.Errorf("%s: there is no %s", place, name)
			}
		}
		for _, match := range label.FindAllStringSubmatch(expression, -1) {
			for value := range strings.SplitSeq(match[2], "|") {
				if !strings.Contains(text, match[1]+`="`+value+`"`) {
					t.Errorf("%s: there is no %s %q", place, match[1], value)
				}
			}
		}
	}
	if used == 0 {
		t.Error("no expression has a metric")
	}
}

// Four alerts fire for an instance whose 99th percentiles are high for minutes, and not for
// one with 99.5% of short durations.
func TestMonitoring_SlowAlerts(t *testing.T) {
	t.Parallel()
	requireTool(t, "promtool")
	rules, err := filepath.Abs("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var series, want strings.Builder
	for alert, histogram := range map[string]string{
		"TallycastWritesSlow":   "tallycast_write_duration_seconds",
		"TallycastRequestsSlow": "tallycast_http_request_duration_seconds",
		"TallycastDeliverySlow": "tallycast_delivery_lag_seconds",
		"TallycastRedisSlow":    "tallycast_redis_round_trip_duration_seconds",
	} {
		const labels = `method="GET", route="/v1/counts"`
		for instance, short := range map[string]int{"slow": 980, "fast": 995} { // of 1,000 a minute
			for bound, n := range map[string]int{"0.1": short, "2.5": 1000, "+Inf": 1000} {
				fmt.Fprintf(&series, "      - {series: '%s_bucket{instance=%q, %s, le=%q}', values: '0+%dx10'}\n", histogram, instance, labels, bound, n)
			}
		}
		fmt.Fprintf(&want, "      - {eval_time: 10m, expr: 'count by (instance) (ALERTS{alertname=%q, alertstate=\"firing\"})', exp_samples: [{labels: '{instance=\"slow\"}', value: 1}]}\n", alert)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	text := fmt.Sprintf("rule_files: [%q]\ntests:\n  - interval: 1m\n    input_series:\n%s    promql_expr_test:\n%s", rules, series.String(), want.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s\n%s", err, out, text)
	}
}

// Prometheus's own check accepts the configuration and the alerts.
func TestMonitoring_PrometheusConfiguration(t *testing.T) {
	t.Parallel()
	requireTool(t, "promtool")
	if out, err := exec.Command("promtool", "check", "config", "prometheus/prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// The README explains each alert.
func TestMonitoring_AlertsExplained(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for place := range expressions(t) {
		if alert, ok := strings.CutPrefix(place, "alert "); ok && !strings.Contains(string(readme), "`"+alert+"`") {
			t.Errorf("deploy/README.md does not explain %s", alert)
		}
	}
}
