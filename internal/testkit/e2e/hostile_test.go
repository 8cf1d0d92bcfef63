package e2e_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pieces are what random requests are made of: all that is special somewhere.
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

func TestNoRequestMakesTheServiceFail(t *testing.T) {
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
			continue // it would be open for good
		}
		text := request(method, path, body, "Connection: close", "Content-Type: "+kinds[source.IntN(len(kinds))])
		a := s.wire().send(text).answer(method)
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
	t.Logf("answers by status: %v", codes)
	s.alive()
}

// A viewer that takes nothing is closed, and its neighbours do not notice. Not beside other
// tests: what it holds the service to is a second.
func TestAViewerThatReadsNothingIsClosedAfterTheWriteTimeout(t *testing.T) {
	s := serve(t, "--write-timeout", "2s")
	neighbour := s.watch("?topic=default/likes/x")
	neighbour.sawEvents("live", 1)
	s.deaf("/v1/stream")
	eventually(t, "both viewers", func() bool { return s.metric(`tallycast_connections{transport="sse"}`) == 2 })
	pressed := time.Now()
	s.like("default/likes/x", "visitor-1", "1")
	if f := neighbour.sawCount("default/likes/x", 1); f.at.Sub(pressed) > time.Second {
		t.Errorf("the neighbour waited %s", f.at.Sub(pressed))
	}
	if s.left("write_timeout") != 0 {
		t.Error("the neighbour waited until the deaf viewer was closed")
	}
	within(t, 20*time.Second, "the reason", func() bool { return s.left("write_timeout") == 1 })
	within(t, 20*time.Second, "the deaf viewer is closed", func() bool { return s.metric(`tallycast_connections{transport="sse"}`) == 1 })
	s.alive()
}

func TestAFloodOfPingsIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, flood := range map[string]string{
		"pings":            strings.Repeat("\x89\x80\x00\x00\x00\x00", 5000),
		"a frame unmasked": "\x81\x02{}",
		"a reserved bit":   "\xf1\x80\x00\x00\x00\x00",
		"a huge frame":     "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"noise":            strings.Repeat("\xde\xad\xbe\xef", 100),
		"endless pieces":   "\x01\x80\x00\x00\x00\x00" + strings.Repeat("\x00\xfe\x40\x00\x00\x00\x00\x00"+strings.Repeat(" ", 0x4000), 8),
	} {
		w := s.wire().send(handshake)
		response, err := http.ReadResponse(w.reader, nil)
		if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %v %v", name, response, err)
		}
		go func() { w.send(flood) }() // ends with the connection
		began := time.Now()
		w.hangsUp(20 * time.Second)
		t.Logf("%s: closed after %s", name, time.Since(began))
	}
	eventually(t, "nobody is held", func() bool { return s.metric(`tallycast_connections{transport="websocket"}`) == 0 })
	s.alive()
}

func TestViewersThatVanishAreForgotten(t *testing.T) {
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
	eventually(t, "all are held", func() bool {
		return s.metric(`tallycast_connections{transport="sse"}`)+s.metric(`tallycast_connections{transport="websocket"}`) == 60
	})
	eventually(t, "and counted", func() bool { return s.read(readers).Count == 30 })
	for i, w := range wires {
		if i%3 == 0 {
			_ = w.SetLinger(0) // a reset instead of a farewell
		}
		_ = w.Close()
	}
	eventually(t, "nobody is held", func() bool {
		return s.metric(`tallycast_connections{transport="sse"}`)+s.metric(`tallycast_connections{transport="websocket"}`) == 0
	})
	eventually(t, "nor counted", func() bool { return s.read(readers).Count == 0 })
	s.alive()
}
