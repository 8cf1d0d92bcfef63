package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

var update = flag.Bool("update", false, "write the generated pages instead of comparing them")

// check compares a page with what it should be, or writes it.
func check(t *testing.T, page, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not up to date; run: go test ./docs -update", page)
	}
}

// methods are those that openapi.yaml uses, in the order of the page.
var methods = []string{"get", "head", "post", "put", "patch", "delete"}

// http.md lists every call of openapi.yaml, in its order.
func TestHTTP_UpToDate(t *testing.T) {
	source, err := os.ReadFile("../internal/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Tags []struct{ Name, Description string }
	}
	if err := yaml.Unmarshal(source, &document); err != nil {
		t.Fatal(err)
	}
	var ordered struct{ Paths yaml.MapSlice }
	if err := yaml.UnmarshalWithOptions(source, &ordered, yaml.UseOrderedMap()); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString("# HTTP\n\nGenerated from [openapi.yaml](../../internal/api/openapi.yaml), which every instance serves at `/openapi.yaml`\n" +
		"and which describes parameters, bodies and answers in full. [Examples](../api.md).\n")
	listed := 0
	for _, tag := range document.Tags {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n| call | does | answers |\n|---|---|---|\n", strings.ToUpper(tag.Name[:1])+tag.Name[1:], strings.TrimSpace(tag.Description))
		for _, path := range ordered.Paths {
			operations := path.Value.(yaml.MapSlice).ToMap()
			for _, method := range methods {
				fields, ok := operations[method].(yaml.MapSlice)
				if !ok || !slices.Contains(fields.ToMap()["tags"].([]any), any(tag.Name)) {
					continue
				}
				listed++
				operation := fields.ToMap()
				var answers []string
				for _, answer := range operation["responses"].(yaml.MapSlice) {
					answers = append(answers, fmt.Sprint(answer.Key))
				}
				text := fmt.Sprintf("%v.", operation["summary"])
				if description, ok := operation["description"].(string); ok {
					text += " " + strings.Join(strings.Fields(description), " ")
				}
				fmt.Fprintf(&page, "| `%s %s` | %s | %s |\n", strings.ToUpper(method), path.Key, text, strings.Join(answers, ", "))
			}
		}
	}
	if listed < 40 {
		t.Errorf("only %d calls have a tag", listed)
	}
	check(t, "reference/http.md", page.String())
}

// metrics.md lists every metric that an instance shows, with its labels.
func TestMetrics_UpToDate(t *testing.T) {
	type metric struct {
		kind, help string
		labels     map[string]bool
		redis      bool
	}
	all := map[string]*metric{}
	redis := "redis://" + redistest.Start(t, redistest.Options{}).Addr
	stores := [][]string{{"--store", "sqlite:" + filepath.Join(t.TempDir(), "tally.db")}, {"--store", redis, "--store-replica", redis}}
	for n, store := range stores {
		instance := processtest.Serve(t, binary, nil, store...)
		instance.AwaitReady()
		_, text := processtest.Get(instance.Internal + "/metrics")
		for line := range strings.Lines(text) {
			words := strings.SplitN(strings.TrimSpace(line), " ", 4)
			name, labels, hasLabels := strings.Cut(words[0], "{")
			if histogram, ok := strings.CutSuffix(name, "_bucket"); ok {
				name = histogram
			}
			switch {
			case words[0] == "#" && strings.HasPrefix(words[2], "tallycast_"):
				m := all[words[2]]
				if m == nil {
					m = &metric{labels: map[string]bool{}, redis: n > 0}
					all[words[2]] = m
				}
				if words[1] == "HELP" {
					m.help = words[3]
				} else {
					m.kind = words[3]
				}
			case hasLabels && all[name] != nil:
				for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
					if key, _, _ := strings.Cut(label, "="); key != "le" { // the bound of a bucket
						all[name].labels[key] = true
					}
				}
			}
		}
		instance.Kill()
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	var page strings.Builder
	page.WriteString("# Metrics\n\nGenerated from what an instance shows at `/metrics` on its internal listener (`--internal-listen`). The metrics of the Go\n" +
		"runtime and of the process are there too. Histograms have classic buckets from 0.1 ms to 5 s and, for a Prometheus that asks\n" +
		"for them, native ones. Alerts and a dashboard: [deploy/](../../deploy/README.md#alerts).\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range names {
		m := all[name]
		var labels []string
		for label := range m.labels {
			labels = append(labels, "`"+label+"`")
		}
		slices.Sort(labels)
		help := m.help
		if m.redis {
			help += " Only with Redis."
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(labels, ", "), help)
	}
	check(t, "reference/metrics.md", page.String())
}
