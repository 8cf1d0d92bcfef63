package tally

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// ParseDuration parses a duration as [time.ParseDuration] does, with weeks and days before
// the rest: 90m, 24h, 7d, 1d12h, 2w. Flags, rules and queries use it.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"w", week}, {"d", day}} {
		number, after, ok := strings.Cut(rest, unit.name)
		if !ok || strings.Trim(number, "0123456789.") != "" {
			continue
		}
		hours, err := time.ParseDuration(number + "h")
		factor := unit.length / time.Hour
		if err != nil || hours > math.MaxInt64/factor || total > math.MaxInt64-hours*factor {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total += hours * factor
		if rest = after; rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 && total > 0 || d > math.MaxInt64-total {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return total + d, nil
}

// FormatDuration formats d briefly, in a form that [ParseDuration] parses: 7d, 24h, 10m,
// 1m30s.
func FormatDuration(d time.Duration) string {
	if d > day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
