package tally

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// minOptions and MaxOptions bound the number of options of a choice metric: frames stay
	// below 500 bytes, and a poll fits on a page.
	minOptions = 2
	MaxOptions = 20
)

// Options is one number for each option of a topic of a choice metric, as text without
// spaces, such as "0,1,2,4,5". So it is immutable and comparable, and is the form in which
// stores and frames have it. It is empty for topics of other metrics.
type Options string

// NewOptions returns the options with these numbers.
func NewOptions(numbers []int64) Options {
	text := make([]byte, 0, 4*len(numbers))
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return Options(text)
}

// ParseOptions parses whole numbers between commas.
func ParseOptions(text string) (Options, error) {
	var numbers []int64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil || len(numbers) == MaxOptions {
			return "", fmt.Errorf("%.200q is not a list of numbers such as 0,1,2,4,5, one for each of at most %d options", text, MaxOptions)
		}
		numbers = append(numbers, n)
	}
	return NewOptions(numbers), nil
}

// Len returns the number of options.
func (o Options) Len() int {
	if o == "" {
		return 0
	}
	return 1 + strings.Count(string(o), ",")
}

// Numbers returns the number of each option.
func (o Options) Numbers() []int64 {
	numbers := make([]int64, 0, MaxOptions)
	for rest := string(o); rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		n, _ := strconv.ParseInt(part, 10, 64) // cannot fail: constructors checked it
		numbers = append(numbers, n)
	}
	return numbers
}

// Sum returns the sum of the numbers.
func (o Options) Sum() (sum int64) {
	for _, n := range o.Numbers() {
		sum += n
	}
	return sum
}

// zeros is a list of MaxOptions zeros.
var zeros = Options(strings.TrimSuffix(strings.Repeat("0,", MaxOptions), ","))

// NoOptions returns the options of a topic that nobody touched: "" unless r is a choice.
func (r Rule) NoOptions() Options { return r.Pad("") }

// Pad appends a 0 for each option of r that o lacks because the number of options was raised.
// It returns "" unless r is a choice.
func (r Rule) Pad(o Options) Options {
	if r.Kind != Choice {
		return ""
	}
	missing := int(r.Max) - o.Len()
	switch {
	case missing <= 0:
		return o
	case o == "":
		return zeros[:2*missing-1]
	}
	return o + "," + zeros[:2*missing-1]
}

// Average returns the mean of the options that were chosen, such as 4.2 stars; 0 without
// choices.
func (o Options) Average() float64 {
	var chosen, sum int64
	for i, n := range o.Numbers() {
		chosen += n
		sum += int64(i+1) * n
	}
	if chosen == 0 {
		return 0
	}
	return float64(sum) / float64(chosen)
}

// Score returns the choices of the first option minus those of the second: votes up minus
// votes down.
func (o Options) Score() int64 {
	numbers := o.Numbers()
	if len(numbers) < minOptions {
		return 0
	}
	return numbers[0] - numbers[1]
}

// MarshalJSON returns the list of numbers.
func (o Options) MarshalJSON() ([]byte, error) { return []byte("[" + string(o) + "]"), nil }

// UnmarshalJSON parses a list of whole numbers.
func (o *Options) UnmarshalJSON(text []byte) error {
	var numbers []int64
	if err := json.Unmarshal(text, &numbers); err != nil {
		return err
	}
	if len(numbers) > MaxOptions {
		return fmt.Errorf("a list of %d options; there are at most %d", len(numbers), MaxOptions)
	}
	*o = NewOptions(numbers)
	return nil
}

// Numbers is a count, seed or adjustment as requests, answers and exports have it: one
// number, or in a choice metric a list of one for each option.
type Numbers struct {
	Total   int64   // of a choice metric the sum of Options
	Options Options // empty unless the metric is a choice
}

// MarshalJSON returns the number or the list.
func (n Numbers) MarshalJSON() ([]byte, error) {
	if n.Options != "" {
		return n.Options.MarshalJSON()
	}
	return strconv.AppendInt(nil, n.Total, 10), nil
}

// UnmarshalJSON parses a number or a list.
func (n *Numbers) UnmarshalJSON(text []byte) (err error) {
	*n = Numbers{}
	if len(text) > 0 && text[0] == '[' {
		if err = n.Options.UnmarshalJSON(text); err == nil && n.Options == "" {
			err = errors.New("a list without numbers")
		}
		n.Total = n.Options.Sum()
		return err
	}
	return json.Unmarshal(text, &n.Total) // its error gets the name of the field
}

// IsZero reports whether all numbers are 0.
func (n Numbers) IsZero() bool {
	return n.Total == 0 && !strings.ContainsAny(string(n.Options), "123456789")
}

// Plus returns the sums of the numbers of n and m. Missing options count 0.
func (n Numbers) Plus(m Numbers) Numbers {
	if n.Options == "" && m.Options == "" {
		return Numbers{Total: n.Total + m.Total}
	}
	sums, others := n.Options.Numbers(), m.Options.Numbers()
	if len(sums) < len(others) {
		sums, others = others, sums
	}
	for i := range others {
		sums[i] += others[i]
	}
	return Numbers{Total: n.Total + m.Total, Options: NewOptions(sums)}
}

// Text returns the numbers for people, such as 12 or 12 (0, 1, 2, 4, 5).
func (n Numbers) Text(format func(int64) string) string {
	if n.Options == "" {
		return format(n.Total)
	}
	texts := make([]string, 0, MaxOptions)
	for _, number := range n.Options.Numbers() {
		texts = append(texts, format(number))
	}
	return format(n.Total) + " (" + strings.Join(texts, ", ") + ")"
}
