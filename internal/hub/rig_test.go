package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is the test's format: one frame a line.
func line(dst, json []byte) []byte { return append(append(dst, json...), '\n') }

// recordedFeed records the calls of the hub. It settles no topic.
type recordedFeed struct {
	mu        sync.Mutex
	watched   map[tally.Topic]int
	refreshed map[tally.Topic]int
}

func (f *recordedFeed) Refresh(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refreshed == nil {
		f.refreshed = map[tally.Topic]int{}
	}
	f.refreshed[topic]++
}

// refreshCount returns how often the hub asked to refresh a topic.
func (f *recordedFeed) refreshCount(topic tally.Topic) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refreshed[topic]
}

func (f *recordedFeed) Watch(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watched[topic]++
}

func (f *recordedFeed) Unwatch(topic tally.Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watched[topic]--; f.watched[topic] == 0 {
		delete(f.watched, topic)
	}
}

func (f *recordedFeed) watching() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watched)
}

func (f *recordedFeed) Broadcast([]byte) {}
func (f *recordedFeed) Run(context.Context, tally.Sink, func([]byte)) error {
	return nil
}

// pipe is a connection that accepts capacity bytes and keeps them.
type pipe struct {
	Viewer
	mu       sync.Mutex
	capacity int // negative: any number
	accepted bytes.Buffer
	writes   int
	closed   []Reason
}

func (p *pipe) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	n := len(b)
	if p.capacity >= 0 {
		n = min(n, p.capacity)
		p.capacity -= n
	}
	p.accepted.Write(b[:n])
	return n, nil
}

func (p *pipe) Close(reason Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, reason)
}

func (p *pipe) setCapacity(capacity int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.capacity = capacity
}

func (p *pipe) writeCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

func (p *pipe) closeReasons() []Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Reason(nil), p.closed...)
}

// frame has the fields of all frames.
type frame struct {
	Topic   string
	Count   int64
	Version int64
	Event   string
	Error   struct{ Code string }
}

func (f frame) String() string {
	switch {
	case f.Event != "":
		return f.Event
	case f.Error.Code != "":
		return f.Topic + "!" + f.Error.Code
	}
	return fmt.Sprintf("%s=%d@%d", f.Topic, f.Count, f.Version)
}

// frames returns the complete frames that the connection accepted.
func (p *pipe) frames(t *testing.T) []frame {
	t.Helper()
	frames, err := p.read()
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func (p *pipe) read() (frames []frame, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range bytes.Lines(p.accepted.Bytes()) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("frame %q: %w", text, err)
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// expect waits for these frames and fails if others come.
func (p *pipe) expect(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	eventually(t, func() bool {
		got = got[:0]
		for _, f := range p.frames(t) {
			got = append(got, f.String())
		}
		return len(got) >= len(want)
	}, func() string { return fmt.Sprintf("frames %q, want %q", got, want) })
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("frames %q, want %q", got, want)
	}
}

func eventually(t *testing.T, done func() bool, why func() string) {
	t.Helper()
	if !processtest.Await(processtest.Timeout, done) {
		t.Fatal("timeout: " + why())
	}
}

// running returns a hub that runs until the test ends. Then nothing may be watched.
func running(t *testing.T, options Options) (*Hub, *recordedFeed) {
	t.Helper()
	feed := &recordedFeed{watched: map[tally.Topic]int{}}
	options.Formats = []Encoder{line}
	h := New(feed, options)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }() // ends with ctx, waited for below
	t.Cleanup(func() {
		stop()
		<-ended
		if n := feed.watching(); n != 0 {
			t.Errorf("%d topics are still watched after the end", n)
		}
	})
	return h, feed
}

func topicOf(t *testing.T, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// viewer joins a viewer that watches topics.
func viewer(h *Hub, capacity int, topics ...tally.Topic) *pipe {
	p := &pipe{capacity: capacity}
	h.Adopt(&p.Viewer, p, 0)
	h.Subscribe(&p.Viewer, topics)
	h.Join(&p.Viewer, nil)
	return p
}

func change(topic tally.Topic, n int64) tally.Change {
	return tally.Change{Topic: topic, Count: n, Version: n}
}
