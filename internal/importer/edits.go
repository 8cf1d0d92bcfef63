package importer

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Numbers is where counts without contributions go: a store, by [NumbersOf], or a
// running service.
type Numbers interface {
	tally.Editor

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

// Plan says what [Apply] would do. What is refused says so by itself; the error is that
// of numbers that cannot be read at all.
func Plan(ctx context.Context, numbers Numbers, counts []Count, as tally.EditKind) ([]Planned, error) {
	planned := make([]Planned, 0, len(counts))
	for rest := counts; len(rest) > 0; {
		some := rest[:min(len(rest), editsAtOnce)]
		rest = rest[len(some):]
		topics := make([]tally.Topic, len(some))
		for i, c := range some {
			topics[i] = c.Topic
		}
		states, errs := statesOf(ctx, numbers, topics)
		if len(errs) > 0 && len(errs) == len(some) {
			return nil, errs[topics[0]]
		}
		for i, before := range states {
			e := tally.Edit{Topic: topics[i], Kind: as, Value: some[i].Count}
			e.Preview(before)
			planned = append(planned, Planned{Count: some[i], Before: before, After: e.After, Changed: e.Changed, Err: errs[topics[i]]})
		}
	}
	return planned, nil
}

// statesOf returns the states of topics, and why some cannot be read.
func statesOf(ctx context.Context, numbers Numbers, topics []tally.Topic) ([]tally.State, map[tally.Topic]error) {
	states, err := numbers.States(ctx, topics)
	if err == nil {
		return states, nil
	}
	states = make([]tally.State, len(topics))
	errs := map[tally.Topic]error{}
	for i, topic := range topics {
		one, err := numbers.States(ctx, topics[i:i+1])
		if err != nil {
			errs[topic] = err
			continue
		}
		states[i] = one[0]
	}
	return states, errs
}

// Apply makes the counts seeds, adjustments, bases or counts of their topics. Each topic
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
	tally.Lister
	tally.Editor
}

// NumbersOf returns the numbers of a store.
func NumbersOf(editor Editor) Numbers { return numbers{editor} }

type numbers struct{ Editor }

func (n numbers) States(ctx context.Context, topics []tally.Topic) ([]tally.State, error) {
	return States(ctx, n, topics)
}

// States returns the states of topics, in their order; the zero state, but for the
// topic, of one that nobody touched.
func States(ctx context.Context, lister tally.Lister, topics []tally.Topic) ([]tally.State, error) {
	states := make([]tally.State, len(topics))
	for i, topic := range topics {
		var err error
		if states[i], err = tally.StateOf(ctx, lister, topic); err != nil {
			return nil, err
		}
	}
	return states, nil
}
