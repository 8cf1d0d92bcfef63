package tally_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "50ms": 50 * time.Millisecond, "90m": 90 * time.Minute, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute,
		"7d": 168 * time.Hour, "0d": 0, "1.5d": 36 * time.Hour, "1d12h": 36 * time.Hour, "2w": 336 * time.Hour, "1w1d1h1m1s": 193*time.Hour + time.Minute + time.Second,
		"400d": 9600 * time.Hour, "-1s": -time.Second,
	} {
		if got, err := tally.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, error %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "d", "7", "7 d", "7D", "-7d", "+7d", "7d-1h", "1h1d", "1d1w", "1d1d", "7days", "1y", "1mo", "1e3d", "0x7d", "..d", "106752d", "15251w", "106751d24h", "∞d", "7d ",
	} {
		if got, err := tally.ParseDuration(text); err == nil {
			t.Errorf("%q is parsed as %s", text, got)
		}
	}
}

// A duration that was formatted parses to the same value.
func TestFormatDuration_Parse(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "1s": time.Second, "10m": 10 * time.Minute, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "36h": 36 * time.Hour, "90d": 2160 * time.Hour, "1h0m1s": time.Hour + time.Second,
	} {
		if got := tally.FormatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
		d := rapid.Int64Range(0, int64(1<<62/unit)).Draw(t, "n") * int64(unit)
		if got, err := tally.ParseDuration(tally.FormatDuration(time.Duration(d))); err != nil || got != time.Duration(d) {
			t.Fatalf("%s becomes %s, error %v", tally.FormatDuration(time.Duration(d)), got, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"7d", "1w2d3h", "1.5d", "-1h", "9223372036854775807ns", "106751d23h47m16.854775807s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := tally.ParseDuration(text)
		if plain, plainErr := time.ParseDuration(text); plainErr == nil && (err != nil || d != plain) {
			t.Errorf("%q: %s, error %v, want %s", text, d, err, plain)
		}
		if err != nil && d != 0 {
			t.Errorf("%q: %s with an error", text, d)
		}
	})
}
