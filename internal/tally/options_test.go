package tally_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestOptions_Numbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64Range(-tally.MaxValue, tally.MaxValue), 1, tally.MaxOptions).Draw(t, "numbers")
		options := tally.NewOptions(numbers)
		parsed, err := tally.ParseOptions(string(options))
		var sum int64
		for i, n := range options.Numbers() {
			if n != numbers[i] {
				t.Fatalf("number %d of %s is %d", i, options, n)
			}
			sum += n
		}
		if err != nil || parsed != options || options.Len() != len(numbers) || options.Sum() != sum {
			t.Fatalf("%v became %q, %q (%v), %d numbers with the sum %d", numbers, options, parsed, err, options.Len(), options.Sum())
		}
	})
	for _, text := range []string{"", ",", "1,", "a", "1;2", "1.5", "1,,2", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"} {
		if options, err := tally.ParseOptions(text); err == nil {
			t.Errorf("%q became %q", text, options)
		}
	}
	if options, err := tally.ParseOptions("1, 02,-3"); err != nil || options != "1,2,-3" {
		t.Errorf("%q, %v", options, err)
	}
}

func TestNumbers_JSON(t *testing.T) {
	for text, want := range map[string]tally.Numbers{"7": {Total: 7}, "-2": {Total: -2}, "[3,0,1]": {Total: 4, Options: "3,0,1"}} {
		var got tally.Numbers
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s became %+v, %v", text, got, err)
		}
		if again, err := json.Marshal(got); err != nil || string(again) != text {
			t.Errorf("%s became %s, %v", text, again, err)
		}
	}
	for _, text := range []string{`"7"`, "1.5", "true", "[1.5]", `["1"]`, "[[1]]", "[]", "{}", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"} {
		var got tally.Numbers
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s became %+v", text, got)
		}
	}
}

func TestRule_Pad(t *testing.T) {
	choice := tally.Rule{Kind: tally.Choice, Max: 3}
	for before, want := range map[tally.Options]tally.Options{"": "0,0,0", "1,2": "1,2,0", "1,2,3": "1,2,3", "1,2,3,4": "1,2,3,4"} {
		if got := choice.Pad(before); got != want {
			t.Errorf("%q became %q", before, got)
		}
	}
	if got := (tally.Rule{Kind: tally.Toggle, Max: 1}).NoOptions(); got != "" {
		t.Errorf("a like has the options %q", got)
	}
}

func TestOptions_AverageAndScore(t *testing.T) {
	for options, want := range map[tally.Options]struct {
		average float64
		score   int64
	}{"0,0,0,0,0": {0, 0}, "0,1,2,4,5": {49. / 12, -1}, "7,2": {11. / 9, 5}, "": {0, 0}} {
		if average, score := options.Average(), options.Score(); average != want.average || score != want.score {
			t.Errorf("%q: average %v, score %d", options, average, score)
		}
	}
}

// A frame is parsed only if its options add up to its count.
func TestParseFrame_Options(t *testing.T) {
	topic := mustTopic(t, "blog/votes/hello")
	want := tally.Change{Topic: topic, Count: 4, Options: "3,1", Version: 7}
	frame := `{"topic":"blog/votes/hello","count":4,"options":[3,1],"version":7}`
	if got := string(tally.AppendFrame(nil, want)); got != frame {
		t.Errorf("the frame is %s", got)
	}
	if got, err := tally.ParseFrame(topic, []byte(frame)); err != nil || got != want {
		t.Errorf("parsed as %v, %v", got, err)
	}
	for _, broken := range []string{
		`{"topic":"blog/votes/hello","count":5,"options":[3,1],"version":7}`,
		`{"topic":"blog/votes/hello","count":4,"options":[3,1,"version":7}`,
		`{"topic":"blog/votes/hello","count":4,"options":[],"version":7}`,
		`{"topic":"blog/votes/hello","count":0,"options":[x],"version":7}`,
	} {
		if got, err := tally.ParseFrame(topic, []byte(broken)); err == nil {
			t.Errorf("%s is %v", broken, got)
		}
	}
}
