package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestServe_Bare(t *testing.T) {
	t.Parallel()
	r := start(t, variables(), "--store", sqlite(t), "--drain", "0s")
	topic := r.public + "/v1/default/likes/hello"
	if a := send(t, "POST", topic, "visitor-1"); a.Count != 1 || a.Mine != 1 || !a.Changed {
		t.Errorf("a like: %+v", a)
	}
	if a := send(t, "GET", topic, ""); a.Count != 1 {
		t.Errorf("read: %+v", a)
	}
	for _, path := range []string{"/", "/tally.js", "/openapi.yaml", "/badge/default/likes/hello.svg", "/healthz"} {
		if got := status(t, r.public+path); got != http.StatusOK {
			t.Errorf("GET %s: %d", path, got)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz"} {
		if got := status(t, r.internal+path); got != http.StatusOK {
			t.Errorf("GET internal %s: %d", path, got)
		}
	}
	r.stop()
	if code := r.waitExit(t); code != exitOK {
		t.Errorf("exit %d:\n%s", code, r.log)
	}
}

func TestServe_StartupSummary(t *testing.T) {
	t.Parallel()
	store := sqlite(t)
	r := start(t, variables("TALLYCAST_STORE="+store, "TALLYCAST_SECRET=do-not-print-this-secret"), "--base-path", "tally",
		"--site", "blog=https://blog.example.com", "--drain", "0s")
	serving := r.log.Record("serving")
	if !strings.HasSuffix(r.public, "/tally") || serving["store"] != store {
		t.Errorf("serving: %v", serving)
	}
	if got := status(t, r.public+"/v1/blog/likes/x"); got != http.StatusOK {
		t.Errorf("below the base path: %d", got)
	}
	settings := r.log.Record("configuration")
	for name, source := range map[string]string{"store": "environment TALLYCAST_STORE", "site": "flag --site", "drain": "flag --drain", "rate-limit": "default"} {
		if got, _ := settings[name].(map[string]any); got["source"] != source {
			t.Errorf("%s: %v, want from %s", name, got, source)
		}
	}
	if strings.Contains(r.log.String(), "do-not-print") {
		t.Error("the secret was logged")
	}
}

// A metric may replace a default one, which is logged.
func TestServe_ReplacedMetric(t *testing.T) {
	t.Parallel()
	args := []string{"--metric", "likes=once,claps=amount:50,stars=amount:5"}
	r := start(t, variables(), append(args, "--store", sqlite(t), "--drain", "0s")...)
	const message = "--metric replaces the rule of a default metric"
	if warning := r.log.Record(message); warning["level"] != "WARN" || warning["metric"] != "likes" || warning["rule"] != "once" || warning["default"] != "toggle" {
		t.Errorf("%v", warning)
	}
	if n := strings.Count(r.log.String(), message); n != 1 {
		t.Errorf("%d warnings, want that of likes alone: claps has the default rule", n)
	}
	code, out, errors := call(t, variables(), append([]string{"check-config"}, args...)...)
	if code != exitOK || !strings.Contains(out, "--metric likes=once replaces the rule of a default metric, which is toggle.") || strings.Contains(out, "which is amount") {
		t.Errorf("exit %d: %s%s", code, out, errors)
	}
}

func TestServe_StartFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := filepath.Join(t.TempDir(), "data")
	notADatabase := writeFile(t, "this is no database, as everybody can see, however long it is")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--listen", taken.Addr().String(), "--store", "sqlite:" + filepath.Join(data, "x.db")}, []string{"--listen " + taken.Addr().String(), "another process uses this address"}},
		{[]string{"--listen", "127.0.0.1:0", "--internal-listen", taken.Addr().String(), "--store", "sqlite:" + filepath.Join(data, "y.db")}, []string{"--internal-listen", "another process"}},
		{[]string{"--listen", "192.0.2.1:0", "--store", sqlite(t)}, []string{"this machine has no such address"}},
		{[]string{"--listen", "127.0.0.1:0", "--store", "sqlite:" + notADatabase}, []string{notADatabase}},
	} {
		code, out, errors := call(t, variables(), c.args...)
		if code != exitFailure || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		for _, want := range c.want {
			if !strings.Contains(errors, want) {
				t.Errorf("%v lacks %q:\n%s", c.args, want, errors)
			}
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("an address that was taken left a store behind")
	}
}

func TestServe_RedisUnavailable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := closed.Addr().String()
	closed.Close()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended, code := &processtest.LogBuffer{}, make(chan struct{}), 0
	go func() { // ends by cancel
		defer close(ended)
		code = run(ctx, []string{"--store", "redis://" + away, "--listen", "127.0.0.1:0", "--internal-listen", ""}, variables(), io.Discard, log)
	}()
	defer func() {
		cancel()
		<-ended
		if code != exitOK {
			t.Errorf("exit %d:\n%s", code, log)
		}
	}()
	eventually(t, "the start", func() bool { return log.Record("serving") != nil })
	url, _ := log.Record("serving")["url"].(string)
	if got := status(t, url+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", got)
	}
	if got := status(t, url+"/healthz"); got != http.StatusOK {
		t.Errorf("alive: %d", got)
	}
	if a := send(t, "POST", url+"/v1/default/likes/x", "visitor-1"); a.Code != "store_unavailable" {
		t.Errorf("a like: %+v", a)
	}
}

func TestHealthcheck_Configuration(t *testing.T) {
	t.Parallel()
	r := start(t, variables(), "--store", sqlite(t), "--drain", "0s", "--base-path", "/tally")
	public, internal := strings.TrimPrefix(strings.TrimSuffix(r.public, "/tally"), "http://"), strings.TrimPrefix(r.internal, "http://")
	file := writeFile(t, "internal-listen: "+internal+"\n")
	for name, c := range map[string]struct {
		env  []string
		args []string
	}{
		"flag":            {args: []string{"--internal-listen", internal}},
		"environment":     {env: []string{"TALLYCAST_INTERNAL_LISTEN=" + internal}},
		"file":            {args: []string{"--config", file, "--live"}},
		"public listener": {args: []string{"--internal-listen=", "--listen", public, "--base-path", "tally"}},
		"URL":             {args: []string{"--url", r.public + "/readyz"}},
	} {
		if code, out, errors := call(t, variables(c.env...), append([]string{"healthcheck"}, c.args...)...); code != exitOK || !strings.Contains(out, "status") {
			t.Errorf("%s: exit %d, %s%s", name, code, out, errors)
		}
	}
	r.stop()
	r.waitExit(t)
	for _, args := range [][]string{{"--internal-listen", internal}, {"--listen", "nonsense"}} {
		if code, _, errors := call(t, variables(), append([]string{"healthcheck"}, args...)...); code != exitFailure || errors == "" {
			t.Errorf("%v: exit %d, %q; containers know 0 and 1", args, code, errors)
		}
	}
}
