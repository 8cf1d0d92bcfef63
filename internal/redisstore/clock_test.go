package redisstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the network's delays, no deadline is later in Redis's clock than it is
// here: what it fences off was refused before.
func TestADeadlineIsNeverTooLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begun := time.Now().Add(-20 * time.Second)
		const ahead = 1_790_000_000_000_000 // Redis's clock when ours said begun, µs
		var c clock
		at := begun
		for range rapid.IntRange(1, 10).Draw(t, "looks") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause")))
			there := at.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "way there")))
			back := there.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "way back")))
			c.note(sample{server: ahead + there.Sub(begun).Microseconds(), sent: at, received: back})
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

func TestAClockThatWasSetIsNoticed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	look := func(server int64, took time.Duration) sample {
		return sample{server: server, sent: now.Add(-took), received: now}
	}
	for name, jump := range map[string]int64{"back": -3_600_000_000, "forward": 3_600_000_000} {
		var c clock
		c.note(look(1_790_000_000_000_000, time.Millisecond))
		c.note(look(1_790_000_000_000_000, 500*time.Millisecond))
		if got, _ := c.at(now); got != 1_790_000_000_000_000 || c.sample.took() != time.Millisecond {
			t.Errorf("a slow look replaced a quick one: %+v", c.sample)
		}
		c.note(look(1_790_000_000_000_000+jump, 500*time.Millisecond))
		if got, _ := c.at(now); got != 1_790_000_000_000_000+jump {
			t.Errorf("the clock was set %s, and nobody noticed", name)
		}
	}
}
