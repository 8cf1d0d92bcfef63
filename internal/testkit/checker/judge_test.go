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

// made returns a history without fault, as a sound service makes it: 20 s of writes,
// some with lost answers and of those some not applied, 10 s without, and three
// viewers, of which one comes late and one leaves early.
func made(seed uint64) *checker.History {
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
			c.Seen = append(c.Seen, checker.Sighting{Topic: f.Topic, Count: f.Count, Version: f.Version, At: at})
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
	h.Judged = begin + 30*second
	return h
}

func TestASoundHistoryIsFoundSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if found := checker.Judge(made(rapid.Uint64().Draw(t, "seed"))); len(found) > 0 {
			t.Fatalf("found %v", found)
		}
	})
}

// forget removes what a connection saw from a moment on.
func forget(c *checker.Connection, from, to checker.Moment) {
	c.Seen = slices.DeleteFunc(c.Seen, func(s checker.Sighting) bool { return s.At >= from && s.At < to })
}

// middle is in the midst of what was made.
func middle(h *checker.History) checker.Moment { return h.Judged - 26*second }

// a changing write that is the last word of its visitor on likes.
func lastWord(h *checker.History) *checker.Write {
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
	panic("no visitor has the last word")
}

// emptied lets the store forget all of claps after the last write, and viewers see it.
func emptied(h *checker.History) *checker.Final {
	f, at := &h.Final[1], h.Judged-9*second
	h.Faults = append(h.Faults, checker.Fault{Began: at, Ended: at + second, Forgets: true})
	f.Mine, f.Count, f.Version = map[string]int64{}, 0, int64(at+2*second)
	for i := range 2 {
		c := &h.Connections[i]
		c.Seen = append(c.Seen, checker.Sighting{Topic: claps, Count: 0, Version: f.Version, At: at + 3*second})
	}
	return f
}

// vanished lets somebody write to a topic of its own, which all viewers see at count,
// and then the store forget that there was one.
func vanished(h *checker.History, count int64) {
	const topic = "default/claps/vanished"
	at := h.Judged - 12*second
	write := func(at checker.Moment, amount int64) {
		h.Writes = append(h.Writes, checker.Write{
			Visitor: "visitor-9", Topic: topic, Amount: amount, Outcome: checker.Acknowledged, Called: at, Returned: at + 10_000,
			Changed: true, Mine: amount, Count: amount, Version: int64(at) + 5_000,
		})
	}
	write(at-second, 3)
	write(at, count)
	h.Faults = append(h.Faults, checker.Fault{Began: at + second, Ended: at + 2*second, Forgets: true})
	h.Final = append(h.Final, checker.Final{Topic: topic, Mine: map[string]int64{}})
	for i := range h.Connections {
		c := &h.Connections[i]
		if c.Ended != 0 {
			continue
		}
		c.Watched[topic] = at - second
		c.Seen = append(c.Seen, checker.Sighting{Topic: topic, Count: count, Version: int64(at) + 5_000, At: at + 20_000})
	}
}

func TestWhatIsWrongIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*checker.History)
		rule  checker.Rule
	}{
		"a like that was acknowledged is lost": {func(h *checker.History) {
			w, f := lastWord(h), &h.Final[0]
			f.Count -= 2*w.Amount - 1
			f.Mine[w.Visitor] = 1 - w.Amount
		}, checker.RuleKept},
		"the last write was made before a restart to an older state": {func(h *checker.History) {
			h.Final[0].Version -= int64(second)
		}, checker.RuleKept},
		"somebody who never wrote is counted": {func(h *checker.History) {
			h.Final[0].Mine["visitor-9"] = 1
			h.Final[0].Count++
		}, checker.RuleKept},
		"a like counts twice":   {func(h *checker.History) { h.Final[0].Count++ }, checker.RuleOnce},
		"a like does not count": {func(h *checker.History) { h.Final[0].Count-- }, checker.RuleOnce},
		"a version goes back": {func(h *checker.History) {
			seen := h.Connections[0].Seen
			seen[10], seen[40] = seen[40], seen[10]
		}, checker.RuleGrows},
		"a version comes twice": {func(h *checker.History) {
			c := &h.Connections[0]
			c.Seen = slices.Insert(c.Seen, 20, c.Seen[20])
		}, checker.RuleGrows},
		"a viewer gets stuck and recovers": {func(h *checker.History) {
			forget(&h.Connections[0], middle(h), middle(h)+7*second)
		}, checker.RuleCurrent},
		"a viewer is stuck until it leaves": {func(h *checker.History) {
			forget(&h.Connections[2], h.Judged-25*second, h.Judged)
		}, checker.RuleCurrent},
		"a viewer is not told of one topic": {func(h *checker.History) {
			c := &h.Connections[1]
			c.Seen = slices.DeleteFunc(c.Seen, func(s checker.Sighting) bool { return s.Topic == claps })
		}, checker.RuleCurrent},
		"a viewer is stuck after a fault": {func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + 4*second}}
			forget(&h.Connections[0], middle(h), middle(h)+10*second)
		}, checker.RuleCurrent},
		"the last change never comes": {func(h *checker.History) {
			seen := &h.Connections[0].Seen
			*seen = (*seen)[:len(*seen)-1]
		}, checker.RuleEnds},
		"a viewer is told that it is current before it is": {func(h *checker.History) {
			h.Connections[0].Doubts = []checker.Doubt{{Began: middle(h), Ended: middle(h) + second, Seen: 1}}
		}, checker.RuleLive},
		"a store that forgot makes something up": {func(h *checker.History) {
			f := emptied(h)
			f.Mine["visitor-1"], f.Count = 51, 51
		}, checker.RuleKept},
		"a store that forgot counts what nobody contributes": {func(h *checker.History) { emptied(h).Count++ }, checker.RuleOnce},
		"a viewer shows what the store forgot": {func(h *checker.History) {
			emptied(h)
			seen := &h.Connections[0].Seen
			*seen = (*seen)[:len(*seen)-1]
		}, checker.RuleEnds},
		"a viewer shows a topic that the store forgot": {func(h *checker.History) { vanished(h, 1) }, checker.RuleEnds},
		"a viewer believes for good that it is stale": {func(h *checker.History) {
			h.Connections[1].Stale = true
		}, checker.RuleEnds},
		"a viewer sees a count that never was": {func(h *checker.History) {
			h.Connections[0].Seen[30].Count += 1000
		}, checker.RuleExisted},
		"a viewer sees more than its neighbour": {func(h *checker.History) {
			h.Connections[0].Seen[30].Count++
		}, checker.RuleExisted},
		"a reader sees a count of another time": {func(h *checker.History) {
			h.Reads = append(h.Reads, checker.Sighting{Topic: claps, Count: 1, Version: h.Final[1].Version + 1})
		}, checker.RuleExisted},
		"a topic that nobody touched has a count": {func(h *checker.History) {
			h.Reads = append(h.Reads, checker.Sighting{Topic: claps, Count: 1})
		}, checker.RuleExisted},
		"an acknowledgement tells of another amount": {func(h *checker.History) { lastWord(h).Mine++ }, checker.RuleAnswer},
		"an acknowledgement denies what it did": {func(h *checker.History) {
			i := slices.IndexFunc(h.Writes, func(w checker.Write) bool { return w.Changed && w.Outcome == checker.Acknowledged })
			h.Writes[i].Changed = false
		}, checker.RuleAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				h := made(seed)
				c.spoil(h)
				found := checker.Judge(h)
				if !slices.ContainsFunc(found, func(v checker.Violation) bool { return v.Rule == c.rule }) {
					t.Errorf("seed %d: %v, want one of %s", seed, found, c.rule)
				}
			}
		})
	}
}

func TestWhatIsAllowedIsNotFound(t *testing.T) {
	for name, allow := range map[string]func(*checker.History){
		"a viewer is late during a fault and 5 s after": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + 4*second}}
			forget(&h.Connections[0], middle(h), middle(h)+8*second)
		},
		"faults follow each other closely": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second}, {Began: middle(h) + 5*second, Ended: middle(h) + 6*second}}
			forget(&h.Connections[0], middle(h), middle(h)+10*second)
		},
		"who was never told that numbers are current": func(h *checker.History) {
			h.Connections = append(h.Connections, checker.Connection{Name: "waiting"})
		},
		"a store forgets all": func(h *checker.History) { emptied(h) },
		"a store forgets what came last": func(h *checker.History) {
			f := emptied(h)
			w := h.Writes[slices.IndexFunc(h.Writes, func(w checker.Write) bool { return w.Topic == claps && w.Amount > 0 })]
			f.Mine[w.Visitor], f.Count = w.Amount, w.Amount
			for i := range 2 {
				seen := h.Connections[i].Seen
				seen[len(seen)-1].Count = f.Count
			}
		},
		"a store forgets what was at 0": func(h *checker.History) { vanished(h, 0) },
		"the store's clock was set": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second, Clock: true}}
			h.Reads = append(h.Reads, checker.Sighting{Topic: claps, Count: 1, Version: int64(h.Judged) + 3600*int64(second)})
		},
		"a viewer is told the numbers, then that they are current": func(h *checker.History) {
			seen := h.Connections[0].Seen
			h.Connections[0].Doubts = []checker.Doubt{{Began: middle(h), Ended: h.Judged - second, Seen: len(seen)}}
		},
		"two stores answered": func(h *checker.History) {
			h.Faults = []checker.Fault{{Began: middle(h), Ended: middle(h) + second, Split: true}}
			h.Reads = append(h.Reads, checker.Sighting{Topic: claps, Count: 1, Version: int64(middle(h)) + 1})
		},
		"a write of unknown outcome was applied after all": func(h *checker.History) {
			f := &h.Final[1]
			h.Writes = append(h.Writes, checker.Write{Visitor: "visitor-9", Topic: claps, Amount: 7, Outcome: checker.Unknown,
				Called: h.Judged - 11*second, Returned: h.Judged - 10*second})
			f.Mine["visitor-9"], f.Count, f.Version = 7, f.Count+7, int64(h.Judged-10*second)
			for i := range 2 {
				c := &h.Connections[i]
				c.Seen = append(c.Seen, checker.Sighting{Topic: claps, Count: f.Count, Version: f.Version, At: h.Judged - 9*second})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := made(1)
			allow(h)
			if found := checker.Judge(h); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
}
