package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a service with a real store, hub and listeners.
type rig struct {
	t        testing.TB
	api      *API
	store    storage
	public   *httptest.Server
	internal *httptest.Server
	log      *logBuffer
}

// storage are the interfaces of a store.
type storage interface {
	tally.Store
	tally.SettingsReader
	tally.MarkStore
	tally.Feed
	Close() error
}

// logBuffer keeps log output.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// private are the networks of test clients.
var private = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}

// catalog has sites with names like those of calls.
var catalog = tally.NewCatalog([]string{"blog", "wiki", "topper", "to", "streams", "wsx", "c", "counts2"}, tally.DefaultMetrics())

// newRig starts a service on SQLite. change adapts the options, which have no limits.
func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, store, change)
}

// newRigOn starts a service on a store, which it closes.
func newRigOn(t testing.TB, store storage, change func(*Options)) *rig {
	t.Helper()
	h := hub.New(store, hub.Options{Formats: push.Formats()})
	tracker := presence.New(store, 0)
	pusher, err := push.New(h, tracker, catalog, push.Options{MaxViewersPerAddress: 3})
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	options := Options{
		Service: tally.NewService(store, catalog), Hub: h, Push: pusher, Health: store.Health,
		Sites: map[string][]string{
			"default": {"https://app.example"},
			"blog":    {"https://blog.example", "https://*.pages.example"},
			"wiki":    {"*"},
		},
		Instrumented: []tally.Instrumented{h, pusher},
		Logger:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version:      "test",
	}
	if change != nil {
		change(&options)
	}
	a, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, api: a, store: store, log: log,
		public: httptest.NewServer(a.Public()), internal: httptest.NewServer(a.Internal())}

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx, h, func([]byte) {}) })
	running.Go(func() { _ = h.Run(ctx) })
	running.Go(func() { _ = tracker.Run(ctx) })
	running.Go(func() { _ = pusher.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		r.public.Close()
		r.internal.Close()
		_ = store.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// limits returns limits of that many writes, reads and new topics an hour; 0 means any number.
func limits(writes, reads, topics int) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Limits{Writes: hourly(writes), Reads: hourly(reads), NewTopics: hourly(topics)}, nil)
}

func hourly(count int) ratelimit.Limit { return ratelimit.Limit{Count: count, Per: time.Hour} }

// answer is a response.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// ask is a request. header has names and values in turn.
type ask struct {
	method, path, body string
	header             []string
}

// do sends a request to the public listener and checks it and the response against the
// OpenAPI document.
func (r *rig) do(method, path, body string, header ...string) answer {
	r.t.Helper()
	a := r.send(r.public.URL, ask{method, path, body, header})
	checkAgainstDocument(r.t, strings.TrimPrefix(path, r.api.options.BasePath), ask{method, path, body, header}, a)
	return a
}

func (r *rig) send(base string, q ask) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), q.method, base+q.path, strings.NewReader(q.body))
	if err != nil {
		r.t.Fatal(err)
	}
	if q.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(q.header); i += 2 {
		switch name, value := q.header[i], q.header[i+1]; name {
		case "Host":
			request.Host = value
		case "Content-Type":
			request.Header.Set(name, value)
		default:
			request.Header.Add(name, value)
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 20 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{r.t, response.StatusCode, response.Header, content}
}

// hasStatus fails the test unless the answer has the status.
func (a answer) hasStatus(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; body: %s", a.status, status, a.body)
	}
	return a
}

// hasError fails the test unless the answer is a problem of that code and the
// contract's status.
func (a answer) hasError(status int, code tally.Code) answer {
	a.t.Helper()
	a.hasStatus(status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("a refusal of type %q: %s", got, a.body)
	}
	if got := a.field("code"); got != string(code) {
		a.t.Fatalf("code %v, want %s: %s", got, code, a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		a.t.Fatalf("a refusal with Cache-Control %q", got)
	}
	return a
}

// contains fails the test unless the body contains text.
func (a answer) contains(text string) answer {
	a.t.Helper()
	if !bytes.Contains(a.body, []byte(text)) {
		a.t.Fatalf("the body lacks %q: %s", text, a.body)
	}
	return a
}

// hasHeader fails the test unless the header has the value.
func (a answer) hasHeader(name, value string) answer {
	a.t.Helper()
	if got := strings.Join(a.header.Values(name), ", "); got != value {
		a.t.Fatalf("%s is %q, want %q", name, got, value)
	}
	return a
}

func (a answer) field(name string) any {
	a.t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(a.body, &fields); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return fields[name]
}
