package tally_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// The stores' conformance suite compares what edits do with a model; this one compares
// what previews announce.
func TestEdit_Preview(t *testing.T) {
	topic := mustTopic(t, "blog/likes/a")
	state := func(version, count, seed, adjustment int64) tally.State {
		return tally.State{Change: tally.Change{Topic: topic, Count: count, Version: version}, Seed: seed, Adjustment: adjustment}
	}
	missing, present := state(0, 0, 0, 0), state(7, 9, 10, -3) // 2 contributions
	for name, c := range map[string]struct {
		before  tally.State
		kind    tally.EditKind
		value   int64
		after   tally.State
		changed bool
	}{
		"seed":               {present, tally.EditSeed, 40, state(7, 39, 40, -3), true},
		"same seed":          {present, tally.EditSeed, 10, present, false},
		"first seed":         {missing, tally.EditSeed, 4, state(0, 4, 4, 0), true},
		"first seed 0":       {missing, tally.EditSeed, 0, missing, true},
		"adjustment":         {present, tally.EditAdjustment, 5, state(7, 17, 10, 5), true},
		"adjustment below":   {present, tally.EditAdjustment, -50, state(7, 0, 10, -12), true},
		"count":              {present, tally.EditCount, 100, state(7, 100, 10, 88), true},
		"same count":         {present, tally.EditCount, 9, present, false},
		"base":               {present, tally.EditBase, 100, state(7, 102, 10, 90), true},
		"reset":              {present, tally.EditReset, 0, state(7, 0, 0, 0), true},
		"reset of missing":   {missing, tally.EditReset, 0, missing, false},
		"delete":             {present, tally.EditDelete, 0, state(7, 0, 0, 0), true},
		"delete of missing":  {missing, tally.EditDelete, 0, missing, false},
		"withdraw":           {present, tally.EditWithdraw, 0, present, false},
		"delete of an empty": {state(7, 0, 0, 0), tally.EditDelete, 0, state(7, 0, 0, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			e := tally.Edit{Topic: topic, Kind: c.kind, Value: c.value}
			if e.Preview(c.before); e.Before != c.before || e.After != c.after || e.Changed != c.changed {
				t.Errorf("%+v to %+v, changed %t", e.Before, e.After, e.Changed)
			}
		})
	}
}

func TestState_SetSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s tally.State
		s.Seed = rapid.Int64Range(0, tally.MaxValue).Draw(t, "seed")
		s.Adjustment = rapid.Int64Range(-tally.MaxValue, tally.MaxValue).Draw(t, "adjustment")
		sum, before := rapid.Int64Range(0, tally.MaxValue).Draw(t, "sum"), s.Adjustment
		s.SetSum(sum)
		if s.Sum() != sum || s.Count < 0 || s.Adjustment < before || s.Adjustment > before && s.Count != 0 {
			t.Fatalf("sum %d: %+v", sum, s)
		}
	})
}

func TestPortion_Validate(t *testing.T) {
	const most = tally.MaxValue
	claps := tally.DefaultMetrics()["claps"]
	for name, c := range map[string]struct {
		rule   tally.Rule
		change func(p *tally.Portion)
		want   tally.Code
	}{
		"valid":             {claps, func(*tally.Portion) {}, ""},
		"maxima":            {claps, func(p *tally.Portion) { p.Seed, p.Adjustment, p.Sum, p.Version = most, most, most, 2*most }, ""},
		"presence":          {tally.DefaultMetrics()["readers"], func(p *tally.Portion) { p.Contributions = nil }, tally.CodeReadOnlyMetric},
		"amount":            {claps, func(p *tally.Portion) { p.Contributions[0].Amount = 51 }, tally.CodeBadAmount},
		"amount of 0":       {claps, func(p *tally.Portion) { p.Contributions[0].Amount = 0 }, tally.CodeBadAmount},
		"amount for toggle": {tally.DefaultMetrics()["likes"], func(*tally.Portion) {}, tally.CodeBadAmount},
		"no member":         {claps, func(p *tally.Portion) { p.Contributions[0].Member = 0 }, tally.CodeBadAmount},
		"seed":              {claps, func(p *tally.Portion) { p.Seed = -1 }, tally.CodeBadAmount},
		"large seed":        {claps, func(p *tally.Portion) { p.Seed = most + 1 }, tally.CodeBadAmount},
		"adjustment":        {claps, func(p *tally.Portion) { p.Adjustment = -most - 1 }, tally.CodeBadAmount},
		"sum":               {claps, func(p *tally.Portion) { p.Sum = -1 }, tally.CodeBadAmount},
		"version":           {claps, func(p *tally.Portion) { p.Version = 2*most + 1 }, tally.CodeBadAmount},
		"negative version":  {claps, func(p *tally.Portion) { p.Version = -1 }, tally.CodeBadAmount},
		"size":              {claps, func(p *tally.Portion) { p.Contributions = make([]tally.Contribution, tally.MaxPortion+1) }, tally.CodeBadBody},
	} {
		t.Run(name, func(t *testing.T) {
			p := tally.Portion{Sum: 50, Contributions: []tally.Contribution{{Member: 1, Amount: 50}}}
			p.Topic, p.Count = mustTopic(t, "blog/claps/a"), 50
			c.change(&p)
			if got := codeOf(p.Validate(c.rule)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
