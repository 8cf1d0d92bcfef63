package tally

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is the family of a metric's rule.
type Kind uint8

const (
	// Toggle lets a visitor contribute 0 or 1.
	Toggle Kind = iota + 1
	// Amount lets a visitor contribute 0 to [Rule.Max], asserted as a total.
	Amount
	// Once lets a visitor contribute 1, for good.
	Once
	// Window lets a visitor add 1 once in each [Rule.Window] of the store's clock.
	// Windows begin at whole multiples of it since the Unix epoch.
	Window
	// Presence counts open pages. Connections hold it; assertions do not change it.
	Presence
	// Choice lets a visitor choose one of the options 1 to [Rule.Max]. The option is the
	// amount that the visitor asserts and that stores keep; each choice counts 1.
	Choice
)

const (
	// maxAmount bounds what one visitor may contribute, so that sums of contributions
	// stay among the integers that a JSON number holds exactly.
	maxAmount = 1_000_000
	// maxWindow bounds how long a store keeps the members of a window.
	maxWindow = 366 * 24 * time.Hour
)

// Rule is what a visitor may contribute to the topics of a metric.
type Rule struct {
	Kind   Kind
	Max    int64         // the greatest contribution of one visitor, or the number of options; 0 for Presence
	Window time.Duration // of Window metrics; whole seconds
}

// ParseRule parses toggle, amount:MAX, once, window:DURATION, presence or choice:OPTIONS.
func ParseRule(text string) (Rule, error) {
	name, argument, has := strings.Cut(text, ":")
	switch {
	case name == "toggle" && !has:
		return Rule{Kind: Toggle, Max: 1}, nil
	case name == "once" && !has:
		return Rule{Kind: Once, Max: 1}, nil
	case name == "presence" && !has:
		return Rule{Kind: Presence}, nil
	case name == "amount" && has:
		most, err := strconv.ParseInt(argument, 10, 64)
		if err != nil || most < 1 || most > maxAmount {
			return Rule{}, fmt.Errorf("amount:%s: the most a visitor may contribute is a whole number from 1 to %d", argument, maxAmount)
		}
		return Rule{Kind: Amount, Max: most}, nil
	case name == "window" && has:
		window, err := ParseDuration(argument)
		if err != nil || window < time.Second || window > maxWindow || window%time.Second != 0 {
			return Rule{}, fmt.Errorf("window:%s: a window is a duration in whole seconds from 1s to %s, such as 30m or 1d", argument, FormatDuration(maxWindow))
		}
		return Rule{Kind: Window, Max: 1, Window: window}, nil
	case name == "choice" && has:
		options, err := strconv.ParseInt(argument, 10, 64)
		if err != nil || options < minOptions || options > MaxOptions {
			return Rule{}, fmt.Errorf("choice:%s: the number of options is a whole number from %d to %d", argument, minOptions, MaxOptions)
		}
		return Rule{Kind: Choice, Max: options}, nil
	}
	return Rule{}, fmt.Errorf("%q is not a rule; a rule is toggle, amount:50, once, window:30m, presence or choice:5", text)
}

// String returns the form that [ParseRule] parses.
func (r Rule) String() string {
	switch r.Kind {
	case Toggle:
		return "toggle"
	case Amount:
		return "amount:" + strconv.FormatInt(r.Max, 10)
	case Once:
		return "once"
	case Window:
		return "window:" + r.Window.String()
	case Presence:
		return "presence"
	case Choice:
		return "choice:" + strconv.FormatInt(r.Max, 10)
	}
	return "none"
}

// Counts returns how much a contribution of amount adds to the count. In a choice metric amount
// is the option.
func (r Rule) Counts(amount int64) int64 {
	if r.Kind == Choice {
		return min(amount, 1)
	}
	return amount
}

// Final reports whether visitors cannot take back a contribution.
func (r Rule) Final() bool { return r.Kind == Once || r.Kind == Window }

// CheckEditable reports whether the numbers of a metric with rule r can be set. The
// error is [CodeReadOnlyMetric] for presence, of which nothing is stored.
func (r Rule) CheckEditable(metric string) error {
	if r.Kind == Presence {
		return Errorf(CodeReadOnlyMetric, "%s counts open pages; its numbers cannot be set", metric)
	}
	return nil
}

// WindowEnd returns when the window of a Window rule that contains now ends, in seconds
// since the Unix epoch.
func (r Rule) WindowEnd(now time.Time) int64 {
	length := int64(r.Window / time.Second)
	return (now.Unix()/length + 1) * length
}

// Validate reports whether a visitor may assert amount.
// Errors: [CodeReadOnlyMetric], [CodeBadAmount].
func (r Rule) Validate(amount int64) error {
	switch {
	case r.Kind == Presence:
		return Errorf(CodeReadOnlyMetric, "this metric counts open connections; send present= on a connection instead of writing")
	case r.Final() && amount != 1:
		return Errorf(CodeBadAmount, "a contribution to this metric is 1 and cannot be taken back")
	case r.Kind == Choice && (amount < 0 || amount > r.Max):
		return Errorf(CodeBadAmount, "this metric has the options 1 to %d; 0 takes the choice back", r.Max)
	case amount < 0 || amount > r.Max:
		return Errorf(CodeBadAmount, "a visitor contributes 0 to %d to this metric", r.Max)
	}
	return nil
}
