package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestWatch_Lines(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs processtest.LogBuffer
	ended := make(chan int, 1)
	go func() { // ends with ctx
		ended <- run(ctx, []string{"watch", "--url", service.public, "default/likes/hello/", "nosuch/likes/x"}, variables(), &out, &errs)
	}()
	eventually(t, "the current count", func() bool { return strings.Contains(out.String(), " default/likes/hello 0\n") })
	eventually(t, "what is refused", func() bool { return strings.Contains(out.String(), " nosuch/likes/x error unknown_site: ") })
	send(t, "POST", service.public+"/v1/default/likes/hello", "visitor-1")
	eventually(t, "the next", func() bool { return strings.Contains(out.String(), " default/likes/hello 1\n") })
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestWatch_InvalidTopics(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"watch"}, {"watch", "hello"}, {"watch", "--url", "nonsense", "default/likes/x"}} {
		if code, _, errors := call(t, variables(), args...); code != exitUsage || errors == "" {
			t.Errorf("%v: exit %d, %s", args, code, errors)
		}
	}
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t), "--base-path", "/tally")
	if code, _, errors := call(t, variables(), "watch", "--url", service.public+"/elsewhere", "default/likes/x"); code != exitFailure || !strings.Contains(errors, "404") {
		t.Errorf("exit %d, %s", code, errors)
	}
}

// Watch ends when every topic is refused permanently.
func TestWatch_AllTopicsRefused(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--drain", "0s", "--store", sqlite(t))
	for _, topics := range [][]string{
		{"nosite/likes/x"}, {"default/nometric/x"}, {"nosite/likes/x", "nosite/likes/x/"}, {"nosite/likes/x", "default/nometric/x"},
	} {
		code, out, errors := call(t, variables("TALLYCAST_AT="+service.public), append([]string{"watch"}, topics...)...)
		if code != exitFailure || !strings.Contains(out, topics[0]+" error unknown_") || !strings.Contains(errors, "no topic is left to watch: ") || !strings.Contains(errors, topics[0]) {
			t.Errorf("%v: exit %d, %s%s", topics, code, out, errors)
		}
	}
	if err := allRefused(map[string]*admin.ItemError{"a": {Code: "unknown_site"}, "b": {Code: "store_unavailable"}}); err == nil || errors.Is(err, errRefused) {
		t.Errorf("a refusal that is temporary: %v", err)
	}
	if err := allRefused(map[string]*admin.ItemError{"a": {Code: "unknown_site"}, "b": nil}); err != nil {
		t.Errorf("a topic that may have a number: %v", err)
	}
}

// Watch finds the service like all other commands.
func TestWatch_Service(t *testing.T) {
	for _, c := range []struct {
		env, args []string
		want      string
	}{
		{nil, nil, "service: http://localhost:8080 (default)"},
		{[]string{"TALLYCAST_AT=http://127.0.0.1:1/a/"}, nil, "service: http://127.0.0.1:1/a (environment TALLYCAST_AT)"},
		{[]string{"TALLYCAST_AT=http://127.0.0.1:1"}, []string{"--url", "http://127.0.0.1:2"}, "service: http://127.0.0.1:2 (flag --url)"},
		{nil, []string{"--at", "http://127.0.0.1:2"}, "service: http://127.0.0.1:2 (flag --at)"},
		{nil, []string{"--at", "http://127.0.0.1:2", "--url", "http://127.0.0.1:1"}, "--at (flag --at): the service is given by --url (flag --url) too"},
		{[]string{"TALLYCAST_AT=nonsense"}, nil, "--at (environment TALLYCAST_AT): \"nonsense\" is not the URL"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // ends before the request
		var out, errs processtest.LogBuffer
		run(ctx, append(append([]string{"watch"}, c.args...), "default/likes/x"), variables(c.env...), &out, &errs)
		if !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v %v: lacks %q: %s", c.env, c.args, c.want, errs.String())
		}
	}
}

func TestBoard_Update(t *testing.T) {
	var out strings.Builder
	b := newBoard(&out, []string{"default/likes/a", "default/likes/longer", "default/likes/a"})
	b.show(frame{Topic: "default/likes/a", Count: 1234567}, time.Now())
	b.show(frame{Topic: "default/likes/longer", Error: &admin.ItemError{Code: "unknown_site", Message: "no \x1b[2J here"}}, time.Now())
	b.show(frame{Event: "stale"}, time.Now())
	b.tick()
	lines := strings.Split(out.String(), "\n")
	if want := "\x1b[2Fdefault/likes/a          1,234,567    (may be old: the service lost its store)\x1b[K"; lines[len(lines)-3] != want {
		t.Errorf("got %q\nwant %q", lines[len(lines)-3], want)
	}
	if strings.Contains(out.String(), "\x1b[2J") {
		t.Error("text of a service moves the cursor")
	}
}

func TestSparkline(t *testing.T) {
	for want, samples := range map[string][]int64{
		"":      nil,
		"▁▁":    {5, 5, 5},
		"▁▂█▁":  {0, 0, 1, 8, 8},
		"▂▂ ▂":  {0, 1, 2, 0, 1},
		"▂█":    {0, 1, 1_000_000_000},
		"▁":     {7, 7},
		"█▂":    {0, 100, 101},
		"▁█▁▁▁": {0, 0, 3, 3, 3, 3},
	} {
		got := sparkline(samples)
		if got != want {
			t.Errorf("%v: %q, want %q", samples, got, want)
		}
	}
}
