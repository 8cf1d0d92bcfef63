package e2e_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// pieces are the parts of random requests. Each has a meaning in a path, a query or a body.
var pieces = []string{
	"/", "//", ".", "..", "%2F", "%252F", "%00", "%ff", "%", "{", "}", "default", "likes", "claps", "readers", "v1", "counts", "stream", "ws", "top", "badge", ".svg", "x", "ü", "u\u0308",
	"?", "&", "=", "topic", "present", "limit", "label", "visitor", `"`, `\`, `{"visitor":"visitor-1"}`, `{"amount":`, `{"topics":[`, `"default/likes/x"`, "]}", "null", "1e9", "-1",
	"\u2028", "\x00", "<script>", "true", ",", ":", "[", " ", "😀", strings.Repeat("k", 300),
}

func random(random *rand.Rand, n int) string {
	var b strings.Builder
	for range random.IntN(n) {
		b.WriteString(pieces[random.IntN(len(pieces))])
	}
	return b.String()
}

// No random request causes an internal error.
func TestRequests_Random(t *testing.T) {
	t.Parallel()
	s := serve(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	source := rand.New(rand.NewPCG(seed, 0))
	prefixes := []string{"/v1/default/likes/", "/v1/", "/v1/counts?topic=", "/v1/counts", "/badge/default/likes/", "/v1/top/default/", "/", "/v1/default/"}
	kinds := []string{"", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";", "text/plain; charset=\""}
	codes := map[int]int{}
	for range 1500 {
		method := []string{"GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"}[source.IntN(6)]
		path := prefixes[source.IntN(len(prefixes))] + url.PathEscape(random(source, 5))
		if source.IntN(2) == 0 {
			path = strings.NewReplacer("%2F", "/", "%3F", "?", "%3D", "=", "%26", "&").Replace(path)
		}
		body := random(source, 8)
		if strings.HasPrefix(path, "/v1/stream") || method == "GET" || method == "HEAD" || method == "OPTIONS" {
			body = ""
		}
		if strings.HasPrefix(path, "/v1/stream") {
			continue // it would stay open
		}
		text := request(method, path, body, "Connection: close", "Content-Type: "+kinds[source.IntN(len(kinds))])
		a := s.wire().send(text).readResponse(method)
		codes[a.status]++
		if a.status >= 500 || a.status == 0 {
			t.Errorf("%q: %d %s", clip(text), a.status, clip(a.body))
		}
		if a.status >= 400 && method != "HEAD" {
			var problem struct{ Code string }
			if kind := a.header.Get("Content-Type"); kind != "application/problem+json" && !(a.status == 400 && strings.HasPrefix(kind, "text/plain")) ||
				strings.Contains(kind, "problem") && (json.Unmarshal([]byte(a.body), &problem) != nil || problem.Code == "") {
				t.Errorf("%q: %d %s %s", clip(text), a.status, kind, clip(a.body))
			}
		}
	}
	t.Logf("responses by status: %v", codes)
	s.checkServing()
}

// Disconnected viewers are removed and stop counting as readers.
func TestViewers_Disconnect(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var wires []*wire
	for i := range 60 {
		w := s.wire()
		if i%2 == 0 {
			w.send(request("GET", "/v1/stream?topic=default/likes/x&present="+readers, ""))
		} else {
			w.send(handshake)
		}
		w.line()
		wires = append(wires, w)
	}
	processtest.Eventually(t, "all are held", func() bool {
		return s.Metric(`tallycast_connections{transport="sse"}`)+s.Metric(`tallycast_connections{transport="websocket"}`) == 60
	})
	processtest.Eventually(t, "and counted", func() bool { return s.read(readers).Count == 30 })
	for i, w := range wires {
		if i%3 == 0 {
			_ = w.SetLinger(0) // a reset
		}
		_ = w.Close()
	}
	processtest.Eventually(t, "no viewer is left", func() bool {
		return s.Metric(`tallycast_connections{transport="sse"}`)+s.Metric(`tallycast_connections{transport="websocket"}`) == 0
	})
	processtest.Eventually(t, "nor counted", func() bool { return s.read(readers).Count == 0 })
	s.checkServing()
}
