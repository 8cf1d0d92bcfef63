package tally_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestParseRule(t *testing.T) {
	for _, text := range []string{"toggle", "once", "presence", "amount:1", "amount:50", "window:30m0s", "window:24h0m0s", "choice:2", "choice:20"} {
		rule, err := tally.ParseRule(text)
		if err != nil || rule.String() != text {
			t.Errorf("%q became %q (%v)", text, rule, err)
		}
	}
	for _, text := range []string{"", "toggles", "toggle:1", "once:", "amount", "amount:", "amount:0", "amount:-1", "amount:1.5", "amount:9999999",
		"window", "window:", "window:30", "window:0s", "window:-1m", "window:1500ms", "window:9000h", "presence:3", "choice", "choice:", "choice:1", "choice:21", "choice:2.5"} {
		if rule, err := tally.ParseRule(text); err == nil {
			t.Errorf("%q became %q", text, rule)
		}
	}
}

func TestRule_Validate(t *testing.T) {
	for _, c := range []struct {
		metric string
		amount int64
		want   tally.Code
	}{
		{"likes", 0, ""}, {"likes", 1, ""}, {"likes", 2, tally.CodeBadAmount}, {"likes", -1, tally.CodeBadAmount},
		{"claps", 0, ""}, {"claps", 50, ""}, {"claps", 51, tally.CodeBadAmount},
		{"visitors", 1, ""}, {"visitors", 0, tally.CodeBadAmount}, {"visitors", 2, tally.CodeBadAmount},
		{"views", 1, ""}, {"views", 0, tally.CodeBadAmount},
		{"votes", 0, ""}, {"votes", 2, ""}, {"votes", 3, tally.CodeBadAmount}, {"votes", -1, tally.CodeBadAmount},
		{"readers", 1, tally.CodeReadOnlyMetric}, {"readers", 0, tally.CodeReadOnlyMetric},
	} {
		err := tally.DefaultMetrics()[c.metric].Validate(c.amount)
		if err == nil != (c.want == "") || err != nil && tally.AsError(err).Code != c.want {
			t.Errorf("%s %d: %v, want %q", c.metric, c.amount, err, c.want)
		}
	}
}

func TestValidateVisitor(t *testing.T) {
	for id, ok := range map[string]bool{
		"12345678": true, "a_b-C9zz": true, strings.Repeat("x", 64): true,
		"": false, "1234567": false, strings.Repeat("x", 65): false, "12345678 ": false, "1234567ü": false, "1234567+": false,
	} {
		if err := tally.ValidateVisitor(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestNextVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		previous := rapid.Int64Range(0, 1<<52).Draw(t, "previous")
		now := rapid.Int64Range(0, 1<<52).Draw(t, "now")
		next := tally.NextVersion(previous, now)
		if next <= previous || next < now || next != previous+1 && next != now {
			t.Fatalf("%d follows %d at %d", next, previous, now)
		}
	})
}

// Windows begin at whole multiples of their length, and contain the time asked for.
func TestRule_WindowEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 366*24*3600).Draw(t, "length")
		now := rapid.Int64Range(0, 1<<33).Draw(t, "now")
		rule := tally.Rule{Kind: tally.Window, Window: time.Duration(length) * time.Second}
		end := rule.WindowEnd(time.Unix(now, 999_999_999))
		if end%length != 0 || now >= end || now < end-length {
			t.Fatalf("the window of %d s at %d ends at %d", length, now, end)
		}
	})
}
