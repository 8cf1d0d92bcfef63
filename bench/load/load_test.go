package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary serves as worker too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == WorkerArgument {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestCheckSelf(t *testing.T) {
	if err := CheckSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNextFrame_SplitAnywhere(t *testing.T) {
	stream := []byte("5\r\ndata: {\"topic\":\"default/likes/b12\",\"count\":43,\"version\":1790000000000001}\n\n{\"event\":\"live\"}")
	for end := range len(stream) + 1 {
		f, from, to, what := nextFrame(stream[:end])
		whole := bytes.IndexByte(stream, '}') + 1
		switch {
		case end >= whole:
			if what != found || f != (frame{12, 43, 1790000000000001}) || to != whole {
				t.Fatalf("%d bytes: %v %+v, next at %d", end, what, f, to)
			}
		case what == found || what == malformed:
			t.Fatalf("%d bytes: %v", end, what)
		case from > bytes.IndexByte(stream, '{') && end > bytes.IndexByte(stream, '{'):
			t.Fatalf("%d bytes: the beginning of a frame is lost", end)
		}
	}
}

func TestNextFrame_Malformed(t *testing.T) {
	for _, text := range []string{
		`{"topic":"default/likes/b","count":1,"version":1}`,
		`{"topic":"default/likes/b1","count":-1,"version":1}`,
		`{"topic":"default/likes/b1","count":1,"version":1,"x":1}`,
		`{"topic":"default/likes/b1x","count":1,"version":1}`,
	} {
		if _, _, _, what := nextFrame([]byte(text)); what != malformed {
			t.Errorf("%s: %v", text, what)
		}
	}
}

func TestAudience_OtherProcesses(t *testing.T) {
	p, err := newPattern(faultNone)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	plan := Plan{Endpoint: p.endpoint(SSE), Viewers: 10, Topics: 1, PerViewer: 1}
	a, err := NewAudience(plan, plan) // two servers, so two processes
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := a.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Await(ctx, []int64{patternFrames - 1}); err != nil {
		t.Fatal(err)
	}
	report, err := a.Report(ctx)
	if err != nil || report.Viewers != 20 || report.Frames != 20*patternFrames || report.Check(patternFrames) != nil {
		t.Fatalf("%+v, %v, %v", report, err, report.Check(patternFrames))
	}
	short, end := context.WithTimeout(ctx, 50*time.Millisecond)
	defer end()
	if err := a.Await(short, []int64{patternFrames}); err == nil || !strings.Contains(err.Error(), "10 of 10 viewers miss") {
		t.Fatalf("a missing number: %v", err)
	}
	if err := a.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Open(ctx); err != nil {
		t.Fatalf("reconnect: %v", err)
	}
}

func TestLikers_CountAndLatency(t *testing.T) {
	var likes atomic.Int64
	const delay = 2 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(delay) // must show in the histogram
		n := likes.Add(1)
		if n > 1000 {
			http.Error(w, "no more", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]int64{"count": n})
	}))
	defer server.Close()
	request := func(dst []byte, topic string, n int64) []byte {
		return fmt.Appendf(dst, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d", topic, n%10)
	}
	l, err := NewLikers(server.Listener.Addr().String(), request, Concurrency{Loops: 8, Addresses: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	result, err := l.Run(t.Context(), Job{Topics: 10, For: 30 * time.Second, Count: 1000, Keep: true})
	if err != nil || result.Likes != 1000 || likes.Load() != 1000 || len(result.Acks) != 1000 {
		t.Fatalf("%d likes, %d acknowledged, %d kept, %v", likes.Load(), result.Likes, len(result.Acks), err)
	}
	if low := result.Latency.Min(); low < int64(delay/time.Microsecond) {
		t.Errorf("an answer took at least %v, the histogram has %d µs", delay, low)
	}
	counts := map[int64]bool{}
	for _, ack := range result.Acks {
		counts[ack.Count] = true
	}
	if len(counts) != 1000 {
		t.Errorf("%d different counts were read", len(counts))
	}
	for topic, n := range result.PerTopic {
		if n < 50 || n > 150 {
			t.Errorf("topic %d got %d likes of 1,000 over 10", topic, n)
		}
	}
	if _, err := l.Run(t.Context(), Job{Topics: 1, For: 30 * time.Second, Count: 10}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a refusal is not an error: %v", err)
	}
}
