package exchange

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Numbers is where counts without contributions go: a store, by [NumbersOf], or a
// running service.
type Numbers interface {
	// Edit carries out the edits as [tally.Ledger] does.
	Edit(ctx context.Context, edits []tally.Edit)
	// States returns the states of topics, in their order; the zero state, but for the
	// topic, of one that nobody touched.
	States(ctx context.Context, topics []tally.Topic) ([]tally.State, error)
}

// Planned is what a count would do, or did, to its topic.
type Planned struct {
	Count
	Before, After tally.State
	Changed       bool
	Err           error
}

// editsAtOnce is how many edits are carried out at once: what one call takes.
const editsAtOnce = 500

// Plan says what [Apply] would do.
func Plan(ctx context.Context, numbers Numbers, counts []Count, as tally.EditKind) ([]Planned, error) {
	planned := make([]Planned, 0, len(counts))
	for rest := counts; len(rest) > 0; {
		some := rest[:min(len(rest), editsAtOnce)]
		rest = rest[len(some):]
		topics := make([]tally.Topic, len(some))
		for i, c := range some {
			topics[i] = c.Topic
		}
		states, err := numbers.States(ctx, topics)
		if err != nil {
			return nil, err
		}
		for i, before := range states {
			after := become(before, as, some[i].Count)
			planned = append(planned, Planned{Count: some[i], Before: before, After: after, Changed: before.Version == 0 || before != after})
		}
	}
	return planned, nil
}

// become returns the state that an edit leaves.
func become(s tally.State, as tally.EditKind, value int64) tally.State {
	counted := s.Count - s.Seed - s.Adjustment
	switch as {
	case tally.EditSeed:
		s.Seed = value
	case tally.EditAdjustment:
		s.Adjustment = value
	case tally.EditCount:
		s.Adjustment = value - s.Seed - counted
	}
	if s.Count = s.Seed + s.Adjustment + counted; s.Count < 0 {
		s.Adjustment -= s.Count
		s.Count = 0
	}
	return s
}

// Apply makes the counts seeds, adjustments or counts of their topics. Each topic
// fails or succeeds by itself; it may be repeated.
func Apply(ctx context.Context, numbers Numbers, counts []Count, as tally.EditKind, progress func(done int)) []Planned {
	applied := make([]Planned, 0, len(counts))
	for rest := counts; len(rest) > 0; {
		some := rest[:min(len(rest), editsAtOnce)]
		rest = rest[len(some):]
		edits := make([]tally.Edit, len(some))
		for i, c := range some {
			edits[i] = tally.Edit{Topic: c.Topic, Kind: as, Value: c.Count}
		}
		numbers.Edit(ctx, edits)
		for i, e := range edits {
			applied = append(applied, Planned{Count: some[i], Before: e.Before, After: e.After, Changed: e.Changed, Err: e.Err})
		}
		if progress != nil {
			progress(len(applied))
		}
	}
	return applied
}

// Editor is the part of a [tally.Ledger] that counts go to.
type Editor interface {
	Lister
	Edit(ctx context.Context, edits []tally.Edit)
}

// NumbersOf returns the numbers of a store.
func NumbersOf(editor Editor) Numbers { return numbers{editor} }

type numbers struct{ Editor }

func (n numbers) States(ctx context.Context, topics []tally.Topic) ([]tally.State, error) {
	states := make([]tally.State, len(topics))
	for i, topic := range topics {
		states[i].Topic = topic
		// Of the keys that begin with this one it is the first.
		scope := tally.Scope{Site: topic.Site(), Metric: topic.Metric(), Prefix: topic.Key()}
		page, err := n.List(ctx, tally.Listing{Scope: scope, Order: tally.ByTopic, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(page.States) > 0 && page.States[0].Topic == topic {
			states[i] = page.States[0]
		}
	}
	return states, nil
}
