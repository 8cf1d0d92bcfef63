package hub

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// The browser tests read the same golden frames.
func TestFrames_Golden(t *testing.T) {
	data, err := os.ReadFile("../push/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Name  string
		Frame json.RawMessage
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{}
	for _, g := range golden {
		var compact bytes.Buffer
		if err := json.Compact(&compact, g.Frame); err != nil {
			t.Fatal(err)
		}
		var f struct {
			Topic          string
			Count, Version int64
			Options        []int64
			Event          string
			ID             *int64
			Error          *tally.Error
		}
		if err := json.Unmarshal(g.Frame, &f); err != nil {
			t.Fatalf("%s: %v", g.Name, err)
		}
		if f.ID != nil {
			continue // package push encodes answers to assertions
		}
		var got []byte
		switch {
		case f.Error != nil:
			got = AppendRefusal(nil, f.Topic, f.Error)
			checked["error"] = true
		case f.Event == "":
			got = tally.AppendFrame(nil, tally.Change{Topic: topicOf(t, f.Topic), Count: f.Count, Options: tally.NewOptions(f.Options), Version: f.Version})
			checked["change"] = true
		default:
			event := map[string]string{"live": frameLive, "stale": frameStale, "beat": frameBeat, "full": FrameFull}[f.Event]
			if event == "" {
				t.Errorf("%s: there is no event %q", g.Name, f.Event)
			}
			got = []byte(event)
			checked[f.Event] = true
		}
		if string(got) != compact.String() {
			t.Errorf("%s: sent as %s, want %s", g.Name, got, compact.String())
		}
	}
	for _, kind := range []string{"change", "live", "stale", "beat", "full", "error"} {
		if !checked[kind] {
			t.Errorf("no golden frame of kind %s", kind)
		}
	}
}

// The frame of a topic is kept only if several viewers of a shard watch it: with a million topics
// that one viewer watches each, the frames would take 0.2 KB a topic.
func TestFrame_KeptForSeveralViewers(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Millisecond})
	alone, shared := topicOf(t, "default/likes/alone"), topicOf(t, "default/likes/shared")
	viewers := []*pipe{viewer(h, -1, alone, shared)}
	for len(viewers) <= len(h.shards) {
		viewers = append(viewers, viewer(h, -1, shared))
	}
	h.Settle(change(alone, 1))
	h.Settle(change(shared, 2))
	viewers[0].expect(t, "default/likes/alone=1@1", "default/likes/shared=2@2", "live")
	for _, p := range viewers[1:] {
		p.expect(t, "default/likes/shared=2@2", "live")
	}
	for topic, isKept := range map[tally.Topic]bool{alone: false, shared: true} {
		if frames := h.topics.stripe(topic).topics[topic].newest.Load().frames.Load(); (frames != nil) != isKept {
			t.Errorf("%s: the frames are %v", topic, frames)
		}
	}
}
