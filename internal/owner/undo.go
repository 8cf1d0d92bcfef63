package owner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Undo says which contributions are taken back: those to Topics, or where there are
// none to all of Scope, made in the minutes from From to To, both included, from one of
// Sources or of the networks that Addresses are in, or where there is neither from
// anywhere.
type Undo struct {
	Scope     tally.Scope
	Topics    []tally.Topic
	From, To  time.Time // To zero: now
	Sources   []tally.Source
	Addresses []netip.Addr
}

// TopicTraces is how many contributions to a topic there were.
type TopicTraces struct {
	Topic         tally.Topic
	Contributions int
}

// SourceTraces is how many contributions from a source there were.
type SourceTraces struct {
	Source        tally.Source
	Contributions int
}

// Undone is what [Desk.Undo] took back, or would; in both lists the most first.
type Undone struct {
	Traces  int
	Topics  []TopicTraces
	Sources []SourceTraces
}

// Undo takes back recent contributions, as far back as the journal reaches, whatever
// they are by now; open pages follow. With preview it changes nothing and says
// what it would. It may be cut off and repeated. Errors: [tally.CodeBadBody] where
// the time is not named, [tally.CodeStoreUnavailable], with what was taken back
// until then.
func (d *Desk) Undo(ctx context.Context, actor string, spike Undo, preview bool) (Undone, error) {
	to := spike.To
	if to.IsZero() {
		to = d.now().Add(clockSlack * time.Minute)
	}
	if spike.From.IsZero() || to.Before(spike.From) {
		return Undone{}, tally.Errorf(tally.CodeBadBody, "a time from which and one until which contributions are taken back should be named, in their order")
	}
	sources, err := d.sources(spike)
	if err != nil {
		return Undone{}, err
	}
	suspect := func(t tally.Trace) bool { return len(sources) == 0 || sources[t.Source] }
	scopes := scopesOf(spike)
	found := tracesFound{topics: map[tally.Topic]int{}, sources: map[tally.Source]int{}}
	if preview {
		for _, scope := range scopes {
			err := d.store.Journal(ctx, scope, minute(spike.From), minute(to), func(traces []tally.Trace) error {
				for _, t := range traces {
					if suspect(t) {
						found.add(t)
					}
				}
				return nil
			})
			if err != nil {
				return Undone{}, err
			}
		}
		return found.sum(), nil
	}
	target := describeUndo(spike, sources, to)
	if err := d.announce(ctx, actor, "undo", target, "begins"); err != nil {
		return Undone{}, err
	}
	for _, scope := range scopes {
		err := d.takeBack(ctx, scope, minute(spike.From), minute(to), suspect, found.add)
		if err != nil {
			return found.sum(), err
		}
	}
	return found.sum(), d.Audit(ctx, actor, "undo", target, fmt.Sprintf("%d contributions to %d topics taken back", found.traces, len(found.topics)))
}

// sources returns those that spike names; none where it names no source.
func (d *Desk) sources(spike Undo) (map[tally.Source]bool, error) {
	sources := map[tally.Source]bool{}
	for _, source := range spike.Sources {
		sources[source] = true
	}
	if len(spike.Addresses) == 0 {
		return sources, nil
	}
	secret, err := d.store.Secret()
	if err != nil {
		return nil, err
	}
	hasher := tally.NewHasher(secret)
	for _, address := range spike.Addresses {
		if !address.IsValid() {
			return nil, tally.Errorf(tally.CodeBadBody, "an address is needed, such as 203.0.113.7")
		}
		sources[hasher.Source(address.Unmap())] = true
	}
	return sources, nil
}

func scopesOf(spike Undo) (scopes []tally.Scope) {
	if len(spike.Topics) == 0 {
		return []tally.Scope{spike.Scope}
	}
	for _, topic := range spike.Topics {
		scopes = append(scopes, tally.ScopeOf(topic))
	}
	return scopes
}

// takenAtOnce is how many traces are held in memory, about 100 bytes each, between
// reading them and taking them back.
const takenAtOnce = 10_000

var (
	errEnough  = errors.New("enough traces for once")
	errNotGone = errors.New("a trace that was taken back is still there")
)

// takeBack takes back the contributions of the journal's traces that are suspect, and
// hands each to taken. Reading ends before traces are taken back, and begins anew after:
// those that are gone are not met again.
func (d *Desk) takeBack(ctx context.Context, scope tally.Scope, from, to int64, suspect func(tally.Trace) bool, taken func(tally.Trace)) error {
	var before tally.Trace
	for {
		var some []tally.Trace
		err := d.store.Journal(ctx, scope, from, to, func(traces []tally.Trace) error {
			for _, t := range traces {
				if suspect(t) {
					some = append(some, t)
				}
			}
			if len(some) >= takenAtOnce {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if len(some) == 0 {
			return nil
		}
		if some[0] == before {
			return fmt.Errorf("%w: %s at minute %d", errNotGone, before.Topic, before.Minute)
		}
		before = some[0]
		if _, err := d.store.TakeBack(ctx, some); err != nil {
			return err
		}
		for _, t := range some {
			taken(t)
		}
		if err == nil {
			return nil // all were read
		}
	}
}

// tracesFound counts traces.
type tracesFound struct {
	traces  int
	topics  map[tally.Topic]int
	sources map[tally.Source]int
}

func (f *tracesFound) add(t tally.Trace) {
	f.traces++
	f.topics[t.Topic]++
	f.sources[t.Source]++
}

func (f *tracesFound) sum() Undone {
	u := Undone{Traces: f.traces, Sources: mostSources(f.sources)}
	for topic, n := range f.topics {
		u.Topics = append(u.Topics, TopicTraces{topic, n})
	}
	slices.SortFunc(u.Topics, func(a, b TopicTraces) int {
		return cmp.Or(b.Contributions-a.Contributions, strings.Compare(a.Topic.String(), b.Topic.String()))
	})
	return u
}

// mostSources returns the sources, the most first.
func mostSources(counts map[tally.Source]int) []SourceTraces {
	sources := make([]SourceTraces, 0, len(counts))
	for source, n := range counts {
		sources = append(sources, SourceTraces{source, n})
	}
	slices.SortFunc(sources, func(a, b SourceTraces) int {
		return cmp.Or(b.Contributions-a.Contributions, cmp.Compare(a.Source, b.Source))
	})
	return sources
}

// describeUndo names what is undone for the audit log.
func describeUndo(spike Undo, sources map[tally.Source]bool, to time.Time) string {
	const shown = 10 // of each, so that an entry stays a line
	var parts []string
	for i, topic := range spike.Topics {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(spike.Topics)-shown))
			break
		}
		parts = append(parts, topic.String())
	}
	if len(parts) == 0 {
		parts = []string{describe(spike.Scope)}
	}
	text := strings.Join(parts, ", ")
	text += " from " + spike.From.UTC().Format(time.RFC3339) + " to " + to.UTC().Format(time.RFC3339)
	if len(sources) > 0 {
		names := []string{}
		for source := range sources {
			names = append(names, fmt.Sprintf("%08x", uint32(source)))
		}
		slices.Sort(names)
		if len(names) > shown {
			names = append(names[:shown], fmt.Sprintf("and %d more", len(names)-shown))
		}
		text += ", of " + strings.Join(names, ", ")
	}
	return text
}
