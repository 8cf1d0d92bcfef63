package redistopology

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// With any delays of the network, a deadline in Redis's clock is never later than here:
// a script may write only before its caller was told that it failed.
func TestClock_DeadlineNeverLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begun := time.Now().Add(-20 * time.Second)
		const ahead = 1_790_000_000_000_000 // Redis's clock when ours said begun, µs
		var c clock
		at := begun
		for range rapid.IntRange(1, 10).Draw(t, "samples") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause")))
			there := at.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "delay there")))
			back := there.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "delay back")))
			c.Store(&clockSample{ahead + there.Sub(begun).Microseconds(), back})
			at = back
		}
		end := at.Add(3 * time.Second)
		got, ok := c.at(end)
		truth := ahead + end.Sub(begun).Microseconds()
		if !ok || got > truth+1 || got < truth-time.Second.Microseconds()-1 { // 1 for rounding
			t.Fatalf("deadline %d, true %d, known %t", got, truth, ok)
		}
	})
}

func TestClock_WasSet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, jump := range map[string]int64{"back": -3_600_000_000, "forward": 3_600_000_000} {
		var c clock
		c.Store(&clockSample{1_790_000_000_000_000, now})
		c.Store(&clockSample{1_790_000_000_000_000 + jump, now})
		if got, ok := c.at(now); !ok || got != 1_790_000_000_000_000+jump {
			t.Errorf("the clock was set %s, and the old sample is used", name)
		}
		c.Store(nil)
		if _, ok := c.at(now); ok {
			t.Error("the clock is known after a reset")
		}
	}
}
