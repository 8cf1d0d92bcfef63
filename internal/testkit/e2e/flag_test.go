package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// defaults are the defaults of the contract, in the form of check-config.
var defaults = map[string]string{
	"listen": ":8080", "internal-listen": "127.0.0.1:8081", "base-path": "(none)", "store": "sqlite:data/tallycast.db", "site": "default",
	"allow-origin": "(none)", "metric": "(none)", "trusted-proxy": "(none)", "flush-interval": "50ms", "read-limit": "500/s", "rate-limit": "20/s",
	"new-topic-limit": "200/h", "topic-limit": "120/h", "max-viewers": "100000", "max-viewers-per-address": "200", "max-watched-topics": "1000000", "write-timeout": "30s",
	"server-token": "(none)", "secret": "(none)", "secret-file": "(none)", "redis-prefix": "tally", "drain": "10s", "demo": "true", "allow-eviction": "false",
}

// shown returns value and source of a setting in the output of check-config.
func shown(t *testing.T, out, name string) (value, source string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == name {
			return words[1], strings.Join(words[2:], " ")
		}
	}
	t.Errorf("no line %s in:\n%s", name, out)
	return "", ""
}

// The defaults are those of the contract.
func TestFlags_Defaults(t *testing.T) {
	t.Parallel()
	code, out, errors := run(t, nil, "check-config")
	if code != 0 || errors != "" {
		t.Errorf("exit %d: %s", code, errors)
	}
	_, help, _ := run(t, nil, "serve", "--help")
	for name, want := range defaults {
		if value, source := shown(t, out, name); value != want && !(name == "site" && value == "(none)") || source != "default" {
			t.Errorf("%s: %s from %s, want %s by default", name, value, source, want)
		}
		if !strings.Contains(help, "--"+name) || !strings.Contains(help, "TALLYCAST_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))) {
			t.Errorf("the help does not name --%s and its variable", name)
		}
	}
}

// Each flag can be set by flag, environment and file.
func TestFlags_EveryLayer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "tallycast.yaml")
	settings := [][2]string{
		{"listen", ":9"}, {"internal-listen", ":10"}, {"base-path", "/tally"}, {"store", "redis://h:1/2"}, {"site", "blog=https://b.example"}, {"allow-origin", "https://a.example"},
		{"metric", "stars=amount:5"}, {"trusted-proxy", "10.0.0.0/8"}, {"flush-interval", "20ms"}, {"read-limit", "off"}, {"rate-limit", "5/m"}, {"new-topic-limit", "7/h"}, {"topic-limit", "off"},
		{"max-viewers", "12"}, {"max-viewers-per-address", "off"}, {"max-watched-topics", "99"}, {"write-timeout", "5s"}, {"secret-file", secret},
		{"server-token", "0123456789abcdef"}, {"redis-prefix", "mine"}, {"drain", "1s"}, {"demo", "false"}, {"allow-eviction", "true"},
	}
	var env, args []string
	var lines strings.Builder
	for _, setting := range settings {
		env = append(env, "TALLYCAST_"+strings.ToUpper(strings.ReplaceAll(setting[0], "-", "_"))+"="+setting[1])
		args = append(args, "--"+setting[0]+"="+setting[1])
		fmt.Fprintf(&lines, "%s: %q\n", setting[0], setting[1])
	}
	for path, text := range map[string]string{secret: "0123456789abcdef\n", file: lines.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for layer, call := range map[string]struct{ env, args []string }{
		"flag --": {nil, args}, "environment TALLYCAST_": {env, nil}, file + " line ": {nil, []string{"--config", file}},
	} {
		code, out, errors := run(t, call.env, append([]string{"check-config"}, call.args...)...)
		if code != 0 {
			t.Errorf("%s: exit %d: %s", layer, code, errors)
		}
		for i, setting := range settings {
			source := map[string]string{
				"flag --":                layer + setting[0],
				"environment TALLYCAST_": strings.SplitN("environment "+env[i], "=", 2)[0],
			}[layer]
			if source == "" {
				source = fmt.Sprintf("%s%d", layer, i+1)
			}
			got, from := shown(t, out, setting[0])
			switch {
			case setting[0] == "server-token": // is shown as set, and never printed
				if strings.Contains(out, setting[1]) || !strings.Contains(from, source) {
					t.Errorf("%s from %s", got, from)
				}
			case got != setting[1] || from != source:
				t.Errorf("%s: %s from %s, want %s from %s", setting[0], got, from, setting[1], source)
			}
		}
	}
}

// A flag beats the environment, the environment the file, the file the platform.
func TestFlags_Precedence(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	port := processtest.FreePort(t)
	file := filepath.Join(t.TempDir(), "tallycast.yaml")
	if err := os.WriteFile(file, []byte("redis-prefix: fromfile\nbase-path: /file\ndrain: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The variables of hosting platforms are enough to serve.
	s := serveIn(t, []string{"PORT=" + port, "REDIS_URL=" + redis.URL(0), "TALLYCAST_CONFIG=" + file, "TALLYCAST_BASE_PATH=/environment", "TALLYCAST_DRAIN=2s"}, "--drain", "3s")
	if !strings.HasSuffix(s.url, ":"+port+"/environment") {
		t.Errorf("serves at %s", s.url)
	}
	s.like("default/likes/x", "visitor-1", "1")
	if n := redis.Do("EXISTS", "fromfile:{default/likes/x}:count"); fmt.Sprint(n) != "1" {
		t.Errorf("Redis holds %v", redis.Do("KEYS", "*"))
	}
	settings := s.Log.Records("configuration")[0]
	for name, want := range map[string]string{"listen": "environment PORT", "store": "environment REDIS_URL", "base-path": "environment TALLYCAST_BASE_PATH",
		"redis-prefix": file + " line 1", "drain": "flag --drain", "rate-limit": "default"} {
		if got, _ := settings[name].(map[string]any); got["source"] != want {
			t.Errorf("%s: %v, want from %s", name, got, want)
		}
	}
}

// Invalid configuration ends the program with 2 before it creates anything. The package
// of the configuration tests every setting.
func TestFlags_Invalid(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--listen=nonsense": "--listen", "--store=mysql://h": "--store", "--site=counts": "--site", "--metric=stars=many": "--metric", "--drain=soon": "--drain",
		"--secret=short": "--secret", "--config=/does/not/exist": "--config",
	} {
		p := launch(t, nil, arg)
		if code := p.ExitCode(); code != 2 || !strings.Contains(p.Log.String(), want+" (flag "+want+"): ") {
			t.Errorf("%s: exit %d, %s", arg, code, p.Log)
		}
		if files, _ := os.ReadDir(p.Command.Dir); len(files) > 0 {
			t.Errorf("%s: files were created: %v", arg, files)
		}
		if code, _, _ := run(t, nil, "check-config", arg); code != 2 {
			t.Errorf("check-config %s: exit %d", arg, code)
		}
	}
}

// All routes are below the base path.
func TestBasePath_EveryRoute(t *testing.T) {
	t.Parallel()
	s := serve(t, "--base-path", "/tally")
	s.like("default/likes/x", "visitor-1", "1")
	for _, path := range []string{"/", "/tally.js", "/openapi.yaml", "/healthz", "/readyz", "/v1/counts?topic=default/likes/x", "/v1/top/default/likes", "/badge/default/likes/x.svg"} {
		s.get(path).wantStatus(200)
	}
	s.watch("?topic=default/likes/x").awaitCount("default/likes/x", 1)
	s.dial("?topic=default/likes/x").awaitCount("default/likes/x", 1)
	if a := s.get(""); a.status != 308 || a.header.Get("Location") != "/tally/" {
		t.Errorf("/tally: %d %s", a.status, a.header.Get("Location"))
	}
	root := newClient(t, strings.TrimSuffix(s.url, "/tally"))
	for _, path := range []string{"/", "/tally.js", "/v1/default/likes/x"} {
		root.get(path).wantProblem(404, "not_found")
	}
	s.post("default/likes/x", map[string][]string{"return": {"/tally/"}}, "Origin: "+root.url).wantStatus(303)
}

// The internal listener can be turned off.
func TestInternalListener_Off(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		s.operator.get(path).wantStatus(200)
	}
	s.operator.get("/v1/default/likes/x").wantStatus(404)
	s.get("/healthz").wantStatus(200)
	s.get("/readyz").wantStatus(200).wantBody(`"ready"`)
	off := serve(t, "--internal-listen=")
	if off.operator != nil {
		t.Error("there is one")
	}
	processtest.Eventually(t, "readiness", func() bool { return off.status("/readyz") == 200 })
}

// Likes, frames and the round trips behind them are in the histograms.
func TestMetrics_Histograms(t *testing.T) {
	t.Parallel()
	const count, largest = "_count", `_bucket{le="+Inf"}`
	for name, c := range map[string]struct {
		args       []string
		histograms []string
	}{
		"SQLite": {nil, []string{"tallycast_write_duration_seconds", "tallycast_delivery_lag_seconds"}},
		"Redis": {[]string{"--store", redistest.Start(t, redistest.Options{Hosted: true}).URL(0)},
			[]string{"tallycast_write_duration_seconds", "tallycast_delivery_lag_seconds", "tallycast_redis_round_trip_duration_seconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.args...)
			s.watch("?topic=default/likes/x").awaitEvents("live", 1)
			s.like("default/likes/x", "visitor-1", "1")
			for _, histogram := range c.histograms {
				processtest.Eventually(t, histogram, func() bool {
					return s.Metric(histogram+count) >= 1 && s.Metric(histogram+largest) == s.Metric(histogram+count) && s.Metric(histogram+"_sum") > 0
				})
			}
			if n := s.Metric("tallycast_write_duration_seconds" + count); n != 1 {
				t.Errorf("%v likes", n)
			}
			const like = `{method="POST",route="/v1/:site/:metric/*key"}`
			if n := s.Metric("tallycast_http_request_duration_seconds_count" + like); n != 1 {
				t.Errorf("%v requests", n)
			}
		})
	}
}

// The metrics show likes and viewers.
func TestMetrics_Values(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.like("default/likes/x", "visitor-1", "1")
	s.watch("?topic=default/likes/x").awaitEvents("live", 1)
	s.dial("").send(`{"subscribe":["default/likes/x"]}`)
	processtest.Eventually(t, "the viewers", func() bool {
		return s.Metric(`tallycast_connections{transport="sse"}`) == 1 && s.Metric(`tallycast_connections{transport="websocket"}`) == 1
	})
	for name, least := range map[string]float64{
		"tallycast_ready": 1, "tallycast_store_up": 1, "tallycast_writes_acknowledged_total": 1, "tallycast_write_batches_total": 1,
		`tallycast_http_requests_total{code="200",route="/v1/:site/:metric/*key"}`: 1, "go_goroutines": 1, "process_open_fds": 1,
	} {
		if got := s.Metric(name); got < least {
			t.Errorf("%s is %v", name, got)
		}
	}
}
