package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/config"
)

// The startup summary for people has a link to the demo, and the source of each setting.
func TestSummary_Text(t *testing.T) {
	flags := map[string][]string{"allow-origin": {"https://blog.example.com"}}
	values := config.Resolve(config.Settings, flags, config.ParseEnvironment([]string{"TALLYCAST_DRAIN=5s"}), config.File{})
	c, problems := config.Parse(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var out bytes.Buffer
	summary{Options{Config: c, Values: values, Stderr: &out}, "[::]:8080", "127.0.0.1:8081"}.print(nil, true)
	for _, want := range []string{"http://localhost:8080/ ", "http://127.0.0.1:8081/metrics", "sqlite:data/tallycast.db", "https://blog.example.com", "flag --allow-origin", "environment TALLYCAST_DRAIN"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

func TestViewersWithin(t *testing.T) {
	for _, c := range []struct {
		most  int
		files uint64
		fit   int
		ok    bool
	}{
		{100_000, 1 << 20, 100_000, true},
		{100_000, 20_000, 20_000 - spareFiles, false},
		{0, 20_000, 20_000 - spareFiles, true},
		{0, 1 << 62, 0, true},
		{100, 256, 100, true},
		{1000, 256, 129, false},
	} {
		if fit, ok := viewersWithin(c.most, c.files); fit != c.fit || ok != c.ok {
			t.Errorf("%d viewers in %d files: %d, %v", c.most, c.files, fit, ok)
		}
	}
}

// Requests that show or change a count wait for the seeds, whatever the key ends in.
func TestNeedsSeeds(t *testing.T) {
	calls := map[string]bool{
		"GET /v1/blog/likes/a": true, "GET /healthz": false, "GET /tally.js": false, "GET /admin/": false, "GET /admin/v1/overview": false,
		"POST /admin/v1/session": false, "POST /admin/v1/seeds": true, "PATCH /admin/v1/topics/blog/likes/a": true, "POST /admin/v1/merge": true,
	}
	for _, key := range []string{"main.js", "posts/app.css", "healthz", "readyz", "openapi.yaml", "tally.js"} {
		calls["GET /v1/default/likes/"+key], calls["GET /badge/default/likes/"+key] = true, true
	}
	for call, want := range calls {
		method, path, _ := strings.Cut(call, " ")
		if got := needsSeeds(method, path); got != want {
			t.Errorf("%s: %t", call, got)
		}
	}
}
