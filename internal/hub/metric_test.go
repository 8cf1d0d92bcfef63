package hub

import (
	"testing"
	"time"
)

func TestDeliveriesLagFromTheChangeUntilTheViewerHasIt(t *testing.T) {
	h, _ := running(t, Options{FlushInterval: time.Millisecond})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Settle(change(a, 1))
	p.expect(t, "default/likes/a=1@1", "live")
	if frames, _ := lag(h); frames != 0 {
		t.Errorf("%v snapshots lagged", frames)
	}

	p.give(0)
	h.Push(change(a, 2))
	const stalled = 200 * time.Millisecond
	time.Sleep(stalled) // the time that is measured
	p.give(-1)
	p.expect(t, "default/likes/a=1@1", "live", "default/likes/a=2@2")
	eventually(t, func() bool { frames, _ := lag(h); return frames == 1 }, func() string { return "the delivery does not count" })
	if _, seconds := lag(h); seconds < stalled.Seconds() || seconds > 5 {
		t.Errorf("a delivery that was held up for %s lagged %v s", stalled, seconds)
	}
}

// lag returns the two figures of the lag of deliveries.
func lag(h *Hub) (frames, seconds float64) {
	for _, m := range h.Metrics() {
		switch m.Name {
		case "delivery_lag_frames_total":
			frames = m.Value
		case "delivery_lag_seconds_total":
			seconds = m.Value
		}
	}
	return frames, seconds
}
