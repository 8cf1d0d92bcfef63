package checker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

const (
	likes = "default/likes/a"
	claps = "default/claps/a"
	// second is one in moments.
	second = checker.Moment(1_000_000)
)

// validHistory returns a history without violations: 20 s of writes, some with lost
// responses, 10 s without writes, and three viewers. One viewer comes late, one leaves early.
func validHistory(seed uint64) *checker.History {
	random := rand.New(rand.NewPCG(seed, 0))
	h := &checker.History{Seed: seed}
	begin := 1_790_000_000 * second
	finals := map[string]*checker.Final{
		likes: {Topic: likes, Mine: map[string]int64{}},
		claps: {Topic: claps, Mine: map[string]int64{}},
	}
	watched := func(at checker.Moment) map[string]checker.Moment {
		return map[string]checker.Moment{likes: at, claps: at}
	}
	h.Connections = []checker.Connection{
		{Name: "early", Watched: watched(begin)},
		{Name: "late", Watched: watched(begin + 8*second)},
		{Name: "leaving", Watched: watched(begin), Ended: begin + 12*second},
	}
	show := func(c *checker.Connection, f *checker.Final, at checker.Moment) {
		if at >= c.Watched[f.Topic] && (c.Ended == 0 || at < c.Ended) {
			c.Seen = append(c.Seen, checker.Observation{Topic: f.Topic, Count: f.Count, Version: f.Version, At: at})
		}
	}
	for at := begin + second; at < begin+20*second; at += 20_000 {
		f := finals[[]string{likes, claps}[random.IntN(2)]]
		most := map[string]int64{likes: 1, claps: 50}[f.Topic]
		w := checker.Write{
			Visitor: fmt.Sprintf("visitor-%d", random.IntN(5)), Topic: f.Topic, Amount: random.Int64N(most + 1),
			Called: at, Returned: at + 6_000, Outcome: checker.Acknowledged,
		}
		lost, applied := random.IntN(10) == 0, random.IntN(2) == 0
		if lost {
			w.Outcome = checker.Unknown
		}
		if before := f.Mine[w.Visitor]; (!lost || applied) && before != w.Amount {
			f.Mine[w.Visitor], f.Count, f.Version, w.Changed = w.Amount, f.Count+w.Amount-before, int64(at+3_000), true
			for i := range h.Connections {
				show(&h.Connections[i], f, at+5_000)
			}
		}
		if !lost {
			w.Mine, w.Count, w.Version = w.Amount, f.Count, f.Version
		}
		h.Writes = append(h.Writes, w)
		if late := &h.Connections[1]; len(late.Seen) == 0 && at >= late.Watched[likes] {
			show(late, finals[likes], at+7_000)
			show(late, finals[claps], at+7_000)
		}
	}
	h.Final = []checker.Final{*finals[likes], *finals[claps]}
	h.ObservedUntil = begin + 30*second
	return h
}

// A history without violations has none.
func TestCheck_ValidHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if found := checker.Check(validHistory(rapid.Uint64().Draw(t, "seed"))); len(found) > 0 {
			t.Fatalf("found %v", found)
		}
	})
}

// removeSeen removes what a connection saw from a moment on.
func removeSeen(c *checker.Connection, from, to checker.Moment) {
	c.Seen = slices.DeleteFunc(c.Seen, func(s checker.Observation) bool { return s.At >= from && s.At < to })
}

// middle returns a moment in the middle of the writes.
func middle(h *checker.History) checker.Moment { return h.ObservedUntil - 26*second }

// lastWrite returns an acknowledged write that is the last of its visitor to likes.
func lastWrite(h *checker.History) *checker.Write {
	var last map[string]int
	for i := len(h.Writes) - 1; i >= 0; i-- {
		w := &h.Writes[i]
		if last == nil {
			last = map[string]int{}
		}
		if w.Topic != likes {
			continue
		}
		if _, later := last[w.Visitor]; !later && w.Outcome == checker.Acknowledged {
			return w
		}
		last[w.Visitor] = i
	}
	panic("there is no last write")
}

// emptied makes the store lose all claps after the last write. Viewers see it.
func emptied(h *checker.History) *checker.Final {
	f, at := &h.Final[1], h.ObservedUntil-9*second
	h.Faults = append(h.Faults, checker.Fault{Began: at, Ended: at + second, LosesData: true})
	f.Mine, f.Count, f.Version = map[string]int64{}, 0, int64(at+2*second)
	for i := range 2 {
		c := &h.Connections[i]
		c.Seen = append(c.Seen, checker.Observation{Topic: claps, Count: 0, Version: f.Version, At: at + 3*second})
	}
	return f
}

// vanished adds a topic that all viewers see at count and that the store then loses.
func vanished(h *checker.History, count int64) {
	const topic = "default/claps/vanished"
	at := h.ObservedUntil - 12*second
	write := func(at checker.Moment, amount int64) {
		h.Writes = append(h.Writes, checker.Write{
			Visitor: "visitor-9", Topic: topic, Amount: amount, Outcome: checker.Acknowledged, Called: at, Returned: at + 10_000,
			Changed: true, Mine: amount, Count: amount, Version: int64(at) + 5_000,
		})
	}
	write(at-second, 3)
	write(at, count)
	h.Faults = append(h.Faults, checker.Fault{Began: at + second, Ended: at + 2*second, LosesData: true})
	h.Final = append(h.Final, checker.Final{Topic: topic, Mine: map[string]int64{}})
	for i := range h.Connections {
		c := &h.Connections[i]
		if c.Ended != 0 {
			continue
		}
		c.Watched[topic] = at - second
		c.Seen = append(c.Seen, checker.Observation{Topic: topic, Count: count, Version: int64(at) + 5_000, At: at + 20_000})
	}
}

// Check reports each kind of violation under its rule.
func TestCheck_Violations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*checker.History)
		rule   checker.Rule
	}{
		"an acknowledged like is lost": {func(h *checker.History) {
			w, f := lastWrite(h), &h.Final[0]
			f.Count -= 2*w.Amount - 1
			f.Mine[w.Visitor] = 1 - w.Amount
		}, checker.RuleContribution},
		"the store went back to an older state": {func(h *checker.History) {
			h.Final[0].Version -= int64(second)
		}, checker.RuleContribution},
		"a visitor without writes counts": {func(h *checker.History) {
			h.Final[0].Mine["visitor-9"] = 1
			h.Final[0].Count++
		}, checker.RuleContribution},
		"a like counts twice":   {func(h *checker.History) { h.Final[0].Count++ }, checker.RuleSum},
		"a like does not count": {func(h *checker.History) { h.Final[0].Count-- }, checker.RuleSum},
		"a version goes back": {func(h *checker.History) {
			seen := h.Connections[0].Seen
			seen[10], seen[40] = seen[40], seen[10]
		}, checker.RuleVersion},
		"a version comes twice": {func(h *checker.History) {
			c := &h.Connections[0]
			c.Seen = slices.Insert(c.Seen, 20, c.Seen[20])
		}, checker.RuleVersion},
		"a viewer is stuck and recovers": {func(h *checker.History) {
			removeSeen(&h.Connections[0], middle(h), middle(h)+7*second)
		}, checker.RuleCurrent},
		"a viewer is stuck until it leaves": {func(h *checker.History) {
			removeSeen(&h.Connections[2], h.ObservedUntil-25*second, h.ObservedUntil)
		}, checker.RuleCurrent},
		"a viewer receives no frames of one topic": {func(h *checker.History) {
			c := &h.Connections[1]
			c.Seen = slices.DeleteFunc(c.Seen, func(s checker.Observation) bool { return s.Topic == claps })
		}, checker.RuleCurrent},
		"a viewer is stuck after a fault": {func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + 4*second}}
			removeSeen(&h.Connections[0], middle(h), middle(h)+10*second)
		}, checker.RuleCurrent},
		"a viewer misses the last change": {func(h *checker.History) {
			seen := &h.Connections[0].Seen
			*seen = (*seen)[:len(*seen)-1]
		}, checker.RuleFinal},
		"live comes before the current counts": {func(h *checker.History) {
			h.Connections[0].StalePeriods = []checker.StalePeriod{{Began: middle(h), Ended: middle(h) + second, Seen: 1}}
		}, checker.RuleLive},
		"a store invents a contribution after a loss": {func(h *checker.History) {
			f := emptied(h)
			f.Mine["visitor-1"], f.Count = 51, 51
		}, checker.RuleContribution},
		"a store counts too much after a loss": {func(h *checker.History) { emptied(h).Count++ }, checker.RuleSum},
		"a viewer shows a lost count": {func(h *checker.History) {
			emptied(h)
			seen := &h.Connections[0].Seen
			*seen = (*seen)[:len(*seen)-1]
		}, checker.RuleFinal},
		"a viewer shows a lost topic": {func(h *checker.History) { vanished(h, 1) }, checker.RuleFinal},
		"a viewer stays stale": {func(h *checker.History) {
			h.Connections[1].Stale = true
		}, checker.RuleFinal},
		"a viewer sees an impossible count": {func(h *checker.History) {
			h.Connections[0].Seen[30].Count += 1000
		}, checker.RuleExisted},
		"two viewers see different counts of one version": {func(h *checker.History) {
			h.Connections[0].Seen[30].Count++
		}, checker.RuleExisted},
		"a read returns a count of another time": {func(h *checker.History) {
			h.Reads = append(h.Reads, checker.Observation{Topic: claps, Count: 1, Version: h.Final[1].Version + 1})
		}, checker.RuleExisted},
		"a topic without writes has a count": {func(h *checker.History) {
			h.Reads = append(h.Reads, checker.Observation{Topic: claps, Count: 1})
		}, checker.RuleExisted},
		"an acknowledgement has another amount": {func(h *checker.History) { lastWrite(h).Mine++ }, checker.RuleAcknowledgement},
		"an acknowledgement denies its effect": {func(h *checker.History) {
			i := slices.IndexFunc(h.Writes, func(w checker.Write) bool { return w.Changed && w.Outcome == checker.Acknowledged })
			h.Writes[i].Changed = false
		}, checker.RuleAcknowledgement},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				h := validHistory(seed)
				c.change(h)
				found := checker.Check(h)
				if !slices.ContainsFunc(found, func(v checker.Violation) bool { return v.Rule == c.rule }) {
					t.Errorf("seed %d: %v, want one of %s", seed, found, c.rule)
				}
			}
		})
	}
}

// Check does not report what the promises allow.
func TestCheck_Allowed(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]func(*checker.History){
		"a viewer is late during a fault and 5 s after": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + 4*second}}
			removeSeen(&h.Connections[0], middle(h), middle(h)+8*second)
		},
		"faults follow each other closely": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second}, {Began: middle(h) + 5*second, Ended: middle(h) + 6*second}}
			removeSeen(&h.Connections[0], middle(h), middle(h)+10*second)
		},
		"a viewer is never live": func(h *checker.History) {
			h.Connections = append(h.Connections, checker.Connection{Name: "waiting"})
		},
		"a store loses everything": func(h *checker.History) { emptied(h) },
		"a store loses the last writes": func(h *checker.History) {
			f := emptied(h)
			w := h.Writes[slices.IndexFunc(h.Writes, func(w checker.Write) bool { return w.Topic == claps && w.Amount > 0 })]
			f.Mine[w.Visitor], f.Count = w.Amount, w.Amount
			for i := range 2 {
				seen := h.Connections[i].Seen
				seen[len(seen)-1].Count = f.Count
			}
		},
		"a store loses a topic at 0": func(h *checker.History) { vanished(h, 0) },
		"the store's clock was set": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second, SetsClock: true}}
			h.Reads = append(h.Reads, checker.Observation{Topic: claps, Count: 1, Version: int64(h.ObservedUntil) + 3600*int64(second)})
		},
		"the current counts come before live": func(h *checker.History) {
			seen := h.Connections[0].Seen
			h.Connections[0].StalePeriods = []checker.StalePeriod{{Began: middle(h), Ended: h.ObservedUntil - second, Seen: len(seen)}}
		},
		"two servers answered": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second, Split: true}}
			h.Reads = append(h.Reads, checker.Observation{Topic: claps, Count: 1, Version: int64(middle(h)) + 1})
		},
		"a write of unknown outcome was applied": func(h *checker.History) {
			f := &h.Final[1]
			h.Writes = append(h.Writes, checker.Write{Visitor: "visitor-9", Topic: claps, Amount: 7, Outcome: checker.Unknown,
				Called: h.ObservedUntil - 11*second, Returned: h.ObservedUntil - 10*second})
			f.Mine["visitor-9"], f.Count, f.Version = 7, f.Count+7, int64(h.ObservedUntil-10*second)
			for i := range 2 {
				c := &h.Connections[i]
				c.Seen = append(c.Seen, checker.Observation{Topic: claps, Count: f.Count, Version: f.Version, At: h.ObservedUntil - 9*second})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := validHistory(1)
			allow(h)
			if found := checker.Check(h); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
}

// Check judges each option of a choice topic as a count of its own.
func TestCheck_Options(t *testing.T) {
	t.Parallel()
	const rating, visitor = "default/rating/a", "visitor-1"
	begin := 1_790_000_000 * second
	for name, c := range map[string]struct {
		change func(h *checker.History)
		want   checker.Rule
	}{
		"valid":             {func(*checker.History) {}, ""},
		"do not add up":     {func(h *checker.History) { h.Connections[0].Seen[1].Options = []int64{0, 1, 1} }, checker.RuleOptions},
		"missing":           {func(h *checker.History) { h.Reads[0].Options = nil }, checker.RuleOptions},
		"too many":          {func(h *checker.History) { h.Writes[0].Options = []int64{0, 1, 0, 0} }, checker.RuleOptions},
		"never chosen":      {func(h *checker.History) { h.Connections[0].Seen[1].Options = []int64{1, 0, 0} }, checker.RuleExisted},
		"the earlier one":   {func(h *checker.History) { h.Reads[0].Options = []int64{0, 1, 0} }, checker.RuleExisted},
		"stored as another": {func(h *checker.History) { h.Final[0].Options = []int64{1, 0, 0} }, checker.RuleSum},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &checker.History{Choices: map[string]int{rating: 3}, ObservedUntil: begin + 20*second}
			viewer := checker.Connection{Name: "viewer", Watched: map[string]checker.Moment{rating: begin}}
			for i, options := range [][]int64{{0, 1, 0}, {0, 0, 1}} {
				at := begin + checker.Moment(1+5*i)*second
				version := int64(at + 3_000)
				h.Writes = append(h.Writes, checker.Write{
					Visitor: visitor, Topic: rating, Amount: int64(2 + i), Called: at, Returned: at + 6_000, Outcome: checker.Acknowledged,
					Mine: int64(2 + i), Changed: true, Count: 1, Options: options, Version: version,
				})
				viewer.Seen = append(viewer.Seen, checker.Observation{Topic: rating, Count: 1, Options: options, Version: version, At: at + 5_000})
			}
			last := viewer.Seen[1]
			h.Connections, h.Reads = []checker.Connection{viewer}, []checker.Observation{last}
			h.Final = []checker.Final{{Topic: rating, Count: 1, Options: last.Options, Version: last.Version, Mine: map[string]int64{visitor: 3}}}
			c.change(h)
			found := checker.Check(h)
			if c.want == "" && len(found) > 0 || c.want != "" && !slices.ContainsFunc(found, func(v checker.Violation) bool { return v.Rule == c.want }) {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}
