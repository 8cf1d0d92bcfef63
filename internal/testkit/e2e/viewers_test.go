package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// upgrade are the header lines of a WebSocket handshake.
var upgrade = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// handshake opens a WebSocket that watches x.
var handshake = request("GET", "/v1/ws?topic=default/likes/x", "", upgrade...)

// masked returns a client's frame of at most 125 bytes, masked with zeros.
func masked(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// viewersLeft returns how many viewers left for a reason.
func (s *service) viewersLeft(reason string) float64 {
	return s.Metric(`tallycast_viewers_left_total{reason="` + reason + `"}`)
}

// openNonReader opens a viewer that requests more than the buffers hold and reads nothing.
// With the lines of an upgrade it is a WebSocket.
func (s *service) openNonReader(path string, lines ...string) *wire {
	var query []string
	for i := range 900 {
		query = append(query, fmt.Sprintf("topic=default/likes/%04d%s", i, strings.Repeat("k", 240)))
	}
	w := s.wire()
	if err := w.SetReadBuffer(4096); err != nil {
		s.t.Fatal(err)
	}
	return w.send(request("GET", path+"?"+strings.Join(query, "&"), "", lines...))
}

// Each hostile viewer is closed and counted. Other viewers are not affected.
func TestViewers_Hostile(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]string{
		"pings without end":                strings.Repeat(masked(0x89, ""), 5000),
		"pongs without end":                strings.Repeat(masked(0x8a, ""), 5000),
		"an unmasked frame":                "\x81\x02{}",
		"a reserved bit":                   masked(0xf1, ""),
		"an unknown opcode":                masked(0x83, "x"),
		"a frame that is too large":        "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"fragments without end":            masked(0x01, "") + strings.Repeat("\x00\xfe\x40\x00\x00\x00\x00\x00"+strings.Repeat(" ", 0x4000), 8),
		"a continuation without a message": masked(0x80, "x"),
		"a fragmented ping":                masked(0x09, ""),
		"a binary message":                 masked(0x82, "{}"),
		"text that is not UTF-8":           masked(0x81, "{\"subscribe\":[\"\xff\xfe\"]}"),
		"invalid messages without end":     strings.Repeat(masked(0x81, "nonsense"), 200),
		"subscribing as fast as it can": strings.Repeat(
			masked(0x81, `{"subscribe":["default/likes/y"]}`)+masked(0x81, `{"unsubscribe":["default/likes/y"]}`), 3000),
		"random bytes": strings.Repeat("\xde\xad\xbe\xef", 100),
		"presence as fast as it can": strings.Repeat(
			masked(0x81, `{"present":["`+readers+`"]}`)+masked(0x81, `{"absent":["`+readers+`"]}`), 3000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			beside := s.neighbours("default/likes/x")
			const hostile = 3
			var flooding sync.WaitGroup
			for range hostile {
				w := s.wire().send(handshake)
				response, err := http.ReadResponse(w.reader, nil)
				if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("%v %v", response, err)
				}
				flooding.Go(func() { w.send(flood) }) // ends with the connection, which the server closes
				flooding.Go(func() { w.awaitClose(processtest.Timeout) })
			}
			for range 5 {
				beside.sendLike()
			}
			flooding.Wait()
			processtest.Eventually(t, "the reason", func() bool { return s.viewersLeft("policy") == hostile })
			processtest.Eventually(t, "the neighbours alone", func() bool { return s.Metric("tallycast_viewers") == 2 })
			beside.sendLike()
			processtest.Eventually(t, "no page is present without a connection", func() bool { return s.Metric("tallycast_present_pages") == 2 })
			beside.awaitReaders(2)
			beside.checkUnaffected()
		})
	}
}

// Viewers that read nothing, one in a hundred, do not delay others, and are closed after
// --write-timeout.
func TestViewers_NonReaders(t *testing.T) {
	t.Parallel()
	const pages, nonReaders, likes, topic = 396, 4, 300, "default/likes/x"
	const writeTimeout = 10 * time.Second // others are current long before
	s := serve(t, "--write-timeout", writeTimeout.String())
	crowd := openCrowd(t, strings.TrimPrefix(s.url, "http://"), topic, pages)
	opened := time.Now()
	for n := range nonReaders {
		if n%2 == 0 {
			s.openNonReader("/v1/stream")
		} else {
			s.openNonReader("/v1/ws", upgrade...)
		}
	}
	s.likeAll(topic, likes, 8)
	processtest.Within(t, soon, "all others are current", func() bool { return crowd.showing(likes) == pages })
	if n := s.viewersLeft("write_timeout"); n != 0 && time.Since(opened) < writeTimeout { // a busy machine takes longer
		t.Errorf("the others waited until %v viewers that read nothing were closed", n)
	}
	if c := s.read(topic); c.Count != likes {
		t.Errorf("%d likes were acknowledged, %d are counted", likes, c.Count)
	}
	processtest.Eventually(t, "the reason", func() bool { return s.viewersLeft("write_timeout") == nonReaders })
	if n := len(crowd.disconnects(time.Time{})); n > 0 {
		t.Errorf("%d of the others were disconnected", n)
	}
	if lines := s.warnings(); len(lines) > 0 {
		t.Errorf("warnings: %v", lines)
	}
}

// Pages of 200 topics receive every change.
func TestViewers_ManyTopics(t *testing.T) {
	t.Parallel()
	const topics, pages = 200, 40
	s := serve(t)
	var names []string
	for i := range topics {
		names = append(names, fmt.Sprintf("default/likes/page-%d", i))
	}
	message, _ := json.Marshal(map[string][]string{"subscribe": names}) // strings cannot fail
	var viewers []*viewer
	for range pages {
		v := s.dial("")
		v.send(string(message))
		viewers = append(viewers, v)
	}
	for _, v := range viewers {
		v.awaitEvents("live", 1)
	}
	each(topics, 4, func(i int) { s.like(names[i], "visitor-1", "1") })
	for _, v := range viewers {
		for _, name := range names {
			v.awaitCount(name, 1)
		}
		v.checkVersions()
	}
}

// Topics that were watched and left use no memory: a million of them in the long form.
func TestViewers_MemoryAfterLeaving(t *testing.T) {
	t.Parallel()
	const viewers, topics = 20, 1000
	waves, limit := 10, 4.0 // MB
	if processtest.Long() {
		waves, limit = 50, 7
	}
	s := startBinary(t, plain, nil, unlimited...)
	s.AwaitReady()
	neighbour := s.watch("?topic=default/likes/x")
	neighbour.awaitEvents("live", 1)
	heap := func() float64 { // in MB, without garbage and the content of pools
		for range 2 {
			s.operator.get("/debug/pprof/heap?gc=1").wantStatus(200)
		}
		return s.Metric("go_memstats_heap_alloc_bytes") / (1 << 20)
	}
	var after []float64 // each wave
	for wave := range waves {
		ctx, leave := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		for n := range viewers {
			var names []string
			for i := range topics {
				names = append(names, fmt.Sprintf(`"default/likes/wave-%d/viewer-%d/topic-%d"`, wave, n, i))
			}
			body := `{"topics":[` + strings.Join(names, ",") + `]}`
			watching.Go(func() { s.discardStream(ctx, body) }) // ends with ctx
		}
		processtest.Eventually(t, "all topics are watched", func() bool { return s.Metric("tallycast_watched_topics") == viewers*topics+1 })
		leave()
		watching.Wait()
		processtest.Eventually(t, "all topics are left", func() bool { return s.Metric("tallycast_watched_topics") == 1 })
		after = append(after, heap())
	}
	t.Logf("after each %d topics: %.1f MB", viewers*topics, after)
	// Tables keep their size after one wave. 32 bytes a topic would exceed the limit, in the
	// long form 8 bytes.
	if grown := after[waves-1] - after[2]; grown > limit {
		t.Errorf("%.1f MB are left of %d topics", grown, (waves-3)*viewers*topics)
	}
	s.like("default/likes/x", "visitor-1", "1")
	neighbour.awaitCount("default/likes/x", 1)
}

// discardStream opens a stream with a body until ctx ends and discards the frames.
func (s *service) discardStream(ctx context.Context, body string) {
	request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/stream", strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return
	}
	response, err := s.client.http.Transport.RoundTrip(request)
	if err != nil {
		if ctx.Err() == nil {
			s.t.Errorf("a stream of many topics: %v", err)
		}
		return
	}
	defer response.Body.Close()
	buffer := make([]byte, 32<<10)
	for err == nil {
		_, err = response.Body.Read(buffer)
	}
}
