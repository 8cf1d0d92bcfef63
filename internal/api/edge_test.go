package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/web"
)

// open opens a stream until the test ends, and returns its lines.
func (r *rig) open(method, path, body string, header ...string) (*http.Response, *bufio.Scanner) {
	r.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	r.t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, method, r.public.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { response.Body.Close() })
	return response, bufio.NewScanner(response.Body)
}

// until returns the lines up to one that contains text.
func until(t testing.TB, lines *bufio.Scanner, text string) string {
	t.Helper()
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), text) {
			return all.String()
		}
	}
	t.Fatalf("the stream ended without %q: %s %v", text, all.String(), lines.Err())
	return ""
}

func TestStream_Likes(t *testing.T) {
	r := newRig(t, nil)
	response, lines := r.open("GET", "/v1/stream?topic=blog/likes/x&topic=default/likes/x&topic=bad", "", "Origin", "https://blog.example", "Accept", "text/event-stream")
	if response.StatusCode != 200 || response.Header.Get("Access-Control-Allow-Origin") != "https://blog.example" || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	head := until(t, lines, `{"event":"live"}`)
	for _, want := range []string{`"topic":"blog/likes/x","count":0`, `{"topic":"default/likes/x","error":{"code":"origin_not_allowed"`, `{"topic":"bad","error":{"code":"bad_topic"`} {
		if !strings.Contains(head, want) {
			t.Errorf("no %s in %s", want, head)
		}
	}
	r.do("POST", "/v1/blog/likes/x", "").hasStatus(200)
	until(t, lines, `"topic":"blog/likes/x","count":1`)

	_, lines = r.open("POST", "/v1/stream", `{"topics":["blog/likes/x"],"present":["blog/readers/x"]}`)
	until(t, lines, `"topic":"blog/likes/x","count":1`)
	processtest.Eventually(t, "the reader is counted", func() bool {
		return r.do("GET", "/v1/blog/readers/x", "").field("count") == 1.0
	})
}

func TestLimits_RetryAfter(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Limits = limits(4, 4, 2)
	})
	for i := range 2 {
		r.do("POST", fmt.Sprintf("/v1/blog/likes/new%d", i), "").hasStatus(200)
	}
	r.do("POST", "/v1/blog/likes/new2", "").hasError(429, "rate_limited").contains("--new-topic-limit")
	r.do("GET", "/v1/blog/likes/new2", "").contains(`"version":0`)
	for range 9 {
		r.do("POST", "/v1/blog/likes/new0", "").hasStatus(200) // it exists
	}
	a := r.do("POST", "/v1/blog/likes/new0", "", "Origin", "https://blog.example").hasError(429, "rate_limited").contains("--rate-limit")
	if a.header.Get("Retry-After") == "" || a.header.Get("Access-Control-Expose-Headers") == "" {
		t.Errorf("a page cannot tell when to come back: %v", a.header)
	}
	for range 11 {
		r.do("GET", "/v1/blog/likes/new0", "").hasStatus(200)
	}
	r.do("GET", "/v1/blog/likes/new0", "").hasError(429, "rate_limited").contains("--read-limit")
	r.do("POST", "/v1/counts", `{"topics":["blog/likes/a"]}`).hasError(429, "rate_limited")
	r.do("GET", "/v1/top/blog/likes", "").hasError(429, "rate_limited")
	r.do("GET", "/badge/blog/likes/a.svg", "").hasError(429, "rate_limited")
}

func TestWebSocket_ChecksEachTopic(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = limits(0, 1, 0) })
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	socket, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.public.URL, "http")+"/v1/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://blog.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	if err := socket.Write(ctx, websocket.MessageText, []byte(`{"subscribe":["blog/likes/x","default/likes/x","blog/likes/2","blog/likes/3","blog/likes/4"]}`)); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for !strings.Contains(all.String(), "live") {
		_, message, err := socket.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(message, '\n'))
	}
	for _, want := range []string{`"topic":"blog/likes/x","count":0`, `{"topic":"default/likes/x","error":{"code":"origin_not_allowed"`, `{"topic":"blog/likes/4","error":{"code":"rate_limited"`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %s in %s", want, all.String())
		}
	}
	_, response, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.public.URL, "http")+"/v1/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"null"}}})
	if err == nil || response.StatusCode != 403 {
		t.Errorf("a page without an origin is let in: %v", err)
	}
}

func TestStream_TooManyViewers(t *testing.T) {
	r := newRig(t, nil)
	for range 3 {
		_, lines := r.open("GET", "/v1/stream?topic=blog/likes/x", "")
		until(t, lines, "live")
	}
	r.do("GET", "/v1/stream?topic=blog/likes/x", "").hasError(503, "too_many_viewers")
	r.do("GET", "/v1/stream?topic=blog/likes/x", "", "Accept", "text/event-stream").hasStatus(200).contains(`{"event":"full"}`)
}

func TestBadge(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/a/b", "").hasStatus(200)
	a := r.do("GET", "/badge/blog/likes/a/b.svg", "", "Origin", "https://evil.example").hasStatus(200).
		hasHeader("Content-Type", "image/svg+xml; charset=utf-8").hasHeader("Cache-Control", "public, max-age=60").
		hasHeader("Access-Control-Allow-Origin", "*").hasHeader("Cross-Origin-Resource-Policy", "cross-origin").
		contains("<title>likes: 1</title>").contains(`role="img"`)
	wellFormed(t, a.body)
	wellFormed(t, r.do("GET", "/badge/blog/likes/none.svg", "").hasStatus(200).contains("likes: 0").body)
	hostile := r.do("GET", "/badge/blog/likes/x.svg?label=%3Cscript%3E%22%26%27%00%ff%01"+strings.Repeat("x", 100), "").hasStatus(200)
	wellFormed(t, hostile.body)
	if bytes.Contains(hostile.body, []byte("<script>")) {
		t.Error("a label is not escaped")
	}
	r.do("HEAD", "/badge/blog/likes/x.svg", "").hasStatus(200)
}

func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := decoder.Token(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%v: %s", err, text)
			}
			return
		}
	}
}

func TestBadge_ShortCount(t *testing.T) {
	for count, want := range map[int64]string{0: "0", 9999: "9999", 10_000: "10k", 12_399: "12.3k", 99_999: "99.9k", 100_999: "100k",
		999_999: "999k", 1_000_000: "1M", 1_250_000: "1.2M", 2_000_000_000: "2G", 5_000_000_000_000: "5000G"} {
		if got := shortCount(count); got != want {
			t.Errorf("%d is %s, want %s", count, got, want)
		}
	}
}

func TestScript_HeadersAndGzip(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/tally.js", "/openapi.yaml"} {
		plain := r.do("GET", path, "", "Accept-Encoding", "identity").hasStatus(200).hasHeader("Access-Control-Allow-Origin", "*").
			hasHeader("Cross-Origin-Resource-Policy", "cross-origin").hasHeader("Cache-Control", "public, max-age=3600, must-revalidate").hasHeader("Vary", "Accept-Encoding").hasHeader("X-Content-Type-Options", "nosniff")
		packed := r.send(r.public.URL, ask{"GET", path, "", []string{"Accept-Encoding", "br, gzip;q=0.5"}}).hasStatus(200).hasHeader("Content-Encoding", "gzip")
		reader, err := gzip.NewReader(bytes.NewReader(packed.body))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(reader)
		if err != nil || !bytes.Equal(unpacked, plain.body) {
			t.Errorf("%s unpacks to something else: %v", path, err)
		}
		if packed.header.Get("Etag") == plain.header.Get("Etag") {
			t.Error("one ETag for two encodings")
		}
		r.do("GET", path, "", "If-None-Match", plain.header.Get("Etag"), "Accept-Encoding", "identity").hasStatus(304)
	}
	r.do("GET", "/tally.js", "", "Accept-Encoding", "gzip;q=0").hasStatus(200).hasHeader("Content-Encoding", "")
}

// A start compresses no file: that takes more CPU than everything else that an API does then.
func TestNew_CompressesNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := newAssets(false); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 { // compression takes 12 MB
		t.Errorf("%d bytes were allocated", allocated)
	}
}

func TestScript_Hashed(t *testing.T) {
	r := newRig(t, func(o *Options) { o.WithoutDemo = true })
	for name, script := range web.Scripts() {
		r.do("HEAD", "/"+name, "").hasStatus(200)
		r.do("POST", "/"+name, "").hasError(405, "method_not_allowed")
		if !script.Immutable {
			continue
		}
		hashed := r.do("GET", "/"+name, "", "Accept-Encoding", "identity").hasStatus(200).hasHeader("Access-Control-Allow-Origin", "*").
			hasHeader("Cross-Origin-Resource-Policy", "cross-origin").hasHeader("Cache-Control", "public, max-age=31536000, immutable").
			hasHeader("Content-Type", "text/javascript; charset=utf-8")
		r.do("GET", "/"+name, "", "If-None-Match", hashed.header.Get("Etag"), "Accept-Encoding", "identity").hasStatus(304)
	}
	r.do("GET", "/tally-0123456789abcdef.js", "").hasError(404, "not_found")
}

func TestDemo_OnAndOff(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/default/likes/hello", "").hasStatus(200)
	a := r.do("GET", "/", "").hasStatus(200).hasHeader("Content-Type", "text/html; charset=utf-8").contains("/v1/default/likes/hello")
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'self'") {
		t.Error("no policy")
	}
	r.do("GET", "/demo/", "").hasStatus(200)
	r.do("GET", "/gallery", "").hasStatus(200).hasHeader("Content-Type", "text/html; charset=utf-8")
	r.do("GET", "/demo/theme.js", "").hasStatus(200).hasHeader("Content-Type", "text/javascript; charset=utf-8")
	without := newRig(t, func(o *Options) { o.WithoutDemo = true })
	for _, path := range []string{"/", "/demo/", "/demo/theme.js", "/gallery"} {
		without.do("GET", path, "").hasError(404, "not_found")
	}
	without.do("GET", "/tally.js", "").hasStatus(200)
}

func TestBasePath(t *testing.T) {
	r := newRig(t, func(o *Options) { o.BasePath = "/tally" })
	for _, path := range []string{"/v1/blog/likes/x", "/v1/counts?topic=blog/likes/x", "/tally.js", "/", "/demo/", "/gallery", "/demo/theme.js", "/healthz", "/readyz", "/badge/blog/likes/x.svg"} {
		r.do("GET", "/tally"+path, "").hasStatus(200)
		r.send(r.public.URL, ask{"GET", path, "", nil}).hasError(404, "not_found")
	}
	r.do("GET", "/tally", "").hasStatus(308).hasHeader("Location", "/tally/")
	r.do("GET", "/tally/", "").contains(`action="/tally/v1/default/likes/hello"`)
}

func TestReadiness(t *testing.T) {
	health := tally.Health{}
	r := newRig(t, func(o *Options) { o.Health = func() tally.Health { return health } })
	r.do("GET", "/readyz", "").hasStatus(503).contains(`"status":"starting"`)
	health = tally.Health{Reached: true}
	r.do("GET", "/readyz", "").hasStatus(200).contains(`{"status":"ready","version":"test","store":{"status":"up"},"warnings":[]}`)
	health = tally.Health{Reached: true, Err: errors.New("connection refused"), Warnings: []string{"no AOF", `"x"`}}
	r.do("GET", "/readyz", "").hasStatus(200).contains(`"store":{"status":"away","error":"connection refused"}`).contains(`"warnings":["no AOF","\"x\""]`)
	health = tally.Health{Reached: true, Replica: &tally.ReplicaHealth{IsUsed: true, Lag: 150 * time.Millisecond}}
	r.do("GET", "/readyz", "").hasStatus(200).contains(`"replica":{"status":"used","lag_seconds":0.15}`)
	health.Replica = &tally.ReplicaHealth{Err: errors.New("connection refused")}
	r.do("GET", "/readyz", "").hasStatus(200).contains(`"replica":{"status":"away","lag_seconds":0,"error":"connection refused"}`)
	health = tally.Health{Reached: true, Conflict: errors.New("another secret")}
	r.do("GET", "/readyz", "").hasStatus(503).contains(`"status":"conflict"`)
	health = tally.Health{Reached: true}
	r.api.Drain()
	r.do("GET", "/readyz", "").hasStatus(503).contains(`"status":"draining"`)
	r.do("GET", "/healthz", "").hasStatus(200).contains(`{"status":"ok"}`)
	r.send(r.internal.URL, ask{"GET", "/readyz", "", nil}).hasStatus(503)
	r.send(r.internal.URL, ask{"GET", "/healthz", "", nil}).hasStatus(200)
}

func TestMetrics(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/x", "").hasStatus(200)
	r.do("POST", "/v1/blog/likes/x", "{").hasStatus(400)
	a := r.send(r.internal.URL, ask{"GET", "/metrics", "", nil}).hasStatus(200)
	for _, want := range []string{
		`tallycast_http_requests_total{code="200",route="/v1/:site/:metric/*key"} 1`,
		`tallycast_http_requests_total{code="400",route="/v1/:site/:metric/*key"} 1`,
		`tallycast_http_request_duration_seconds_bucket{method="POST",route="/v1/:site/:metric/*key",le="5"} 2`,
		`tallycast_http_request_duration_seconds_count{method="POST",route="/v1/:site/:metric/*key"} 2`,
		"tallycast_store_up 1", "tallycast_ready 1", `tallycast_info{version="test"} 1`, `tallycast_connections{transport="sse"} 0`,
		`tallycast_rate_limited_total{limit="write"} 0`, "go_goroutines", "process_cpu_seconds_total",
	} {
		a.contains(want)
	}
	r.send(r.internal.URL, ask{"GET", "/debug/pprof/", "", nil}).hasStatus(200).contains("goroutine")
	r.send(r.internal.URL, ask{"GET", "/debug/pprof/cmdline", "", nil}).hasStatus(200)
	r.send(r.internal.URL, ask{"GET", "/debug/pprof/heap", "", nil}).hasStatus(200)
	r.send(r.internal.URL, ask{"GET", "/nosuch", "", nil}).hasError(404, "not_found")
	r.do("GET", "/metrics", "").hasError(404, "not_found")
	r.do("GET", "/debug/pprof/", "").hasError(404, "not_found")
}

// breaking is a store with errors that the client must not see.
type breaking struct{ fails error }

func (b breaking) EventStream(http.ResponseWriter, *http.Request, push.Session) error {
	if b.fails != nil {
		return b.fails
	}
	panic("the sky fell")
}

func (b breaking) WebSocket(http.ResponseWriter, *http.Request, push.Session) error { return nil }

func TestErrors_InternalLoggedOnce(t *testing.T) {
	for _, b := range []breaking{{}, {errors.New("the hidden cause")}} {
		r := newRig(t, func(o *Options) { o.Push = b })
		a := r.do("GET", "/v1/stream?topic=blog/likes/x", "").hasError(500, "internal")
		if strings.Contains(string(a.body), "sky") || strings.Contains(string(a.body), "hidden") {
			t.Errorf("the client reads %s", a.body)
		}
		if text := r.log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, a.field("request_id").(string)) {
			t.Errorf("logged: %s", text)
		}
	}
}

// panickingLog is a log handler that panics on warnings.
type panickingLog struct{ slog.Handler }

func (p panickingLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		panic("no more space")
	}
	return p.Handler.Handle(ctx, r)
}

// The warning comes while the client of the request is found.
func TestErrors_PanicBeforeCall(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Logger = slog.New(panickingLog{o.Logger.Handler()}) })
	r.do("GET", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").hasError(500, "internal")
	r.do("GET", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").hasStatus(200)
}

func TestLike_Allocations(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Limits = limits(1_000_000, 500_000, 1_000_000)
	})
	like := likeRequest(r)
	like()
	// Most are Gin's, the topic's, the store's and the recorder's.
	if n := testing.AllocsPerRun(200, like); n > 120 {
		t.Errorf("%v allocations a like", n)
	} else {
		t.Logf("%v allocations a like", n)
	}
}

// likeRequest returns a function that sends a like without a network.
func likeRequest(r *rig) func() { return likeRequestOf(r, `{"visitor":"ann-visitor","amount":1}`) }

func likeRequestOf(r *rig, text string) func() {
	body := []byte(text)
	reader := bytes.NewReader(body)
	request := httptest.NewRequest("POST", "/v1/blog/likes/x", nil)
	request.Header.Set("Origin", "https://blog.example")
	request.Header.Set("Content-Type", "application/json")
	return func() {
		reader.Reset(body)
		request.Body = io.NopCloser(reader)
		w := httptest.NewRecorder()
		r.api.Public().ServeHTTP(w, request)
		if w.Code != 200 {
			r.t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}
