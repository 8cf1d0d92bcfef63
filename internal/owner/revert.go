package owner

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Selection says which contributions are taken back: those to Topics, or where there are
// none to all of Scope, made in the minutes from From to To, both included, from one of
// Sources or of the networks that Addresses are in, or where there is neither from
// anywhere.
type Selection struct {
	Scope     tally.Scope
	Topics    []tally.Topic
	From, To  time.Time // To zero: now
	Sources   []tally.Source
	Addresses []netip.Addr
}

// TopicContributions is how many contributions to a topic there were.
type TopicContributions struct {
	Topic         tally.Topic
	Contributions int
}

// SourceContributions is how many contributions from a source there were.
type SourceContributions struct {
	Source        tally.Source
	Contributions int
}

// Reverted is what [Desk.Undo] reverted, or would; in both lists the most first.
type Reverted struct {
	Entries int // journal entries that took back contributions
	Topics  []TopicContributions
	Sources []SourceContributions
}

// Revert reverts the selected journal entries: it takes back the contribution of each
// visitor whose newest entry is selected, whatever it is by now, and in a window each
// selected entry. What a visitor contributed later, from elsewhere or outside of the
// time, stays. Open pages follow. With preview it changes nothing and returns what it
// would revert. It may be cut off and repeated. Errors: [tally.CodeBadBody] where the time
// is not named, [tally.CodeStoreUnavailable], with what was reverted until then.
func (d *Service) Revert(ctx context.Context, actor string, spike Selection, preview bool) (Reverted, error) {
	to := spike.To
	if to.IsZero() {
		to = d.now().Add(clockSlack * time.Minute)
	}
	if spike.From.IsZero() || to.Before(spike.From) {
		return Reverted{}, tally.Errorf(tally.CodeBadBody, "a time from which and one until which contributions are taken back should be named, in their order")
	}
	sources, err := d.sources(spike)
	if err != nil {
		return Reverted{}, err
	}
	suspect := func(t tally.JournalEntry) bool { return len(sources) == 0 || sources[t.Source] }
	found := tracesFound{topics: map[tally.Topic]int{}, sources: map[tally.Source]int{}}
	target := describeUndo(spike, sources, to)
	if !preview {
		if err := d.announce(ctx, actor, "undo", target, "begins"); err != nil {
			return Reverted{}, err
		}
	}
	for _, scope := range scopesOf(spike) {
		if err := d.revert(ctx, scope, minute(spike.From), minute(to), suspect, preview, found.add); err != nil {
			return found.sum(), err
		}
	}
	if preview {
		return found.sum(), nil
	}
	return found.sum(), d.Audit(ctx, actor, "undo", target, fmt.Sprintf("%s to %s taken back", tally.Quantity(found.traces, "contribution"), tally.Quantity(len(found.topics), "topic")))
}

// sources returns those that spike names; none where it names no source.
func (d *Service) sources(spike Selection) (map[tally.Source]bool, error) {
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

func scopesOf(spike Selection) (scopes []tally.Scope) {
	if len(spike.Topics) == 0 {
		return []tally.Scope{spike.Scope}
	}
	for _, topic := range spike.Topics {
		scopes = append(scopes, tally.ScopeOf(topic))
	}
	return scopes
}

// revertedAtOnce is how many journal entries are held in memory, about 100 bytes each,
// between reading and reverting them. The journal is read again for the next ones.
const revertedAtOnce = 50_000

// revert reverts the journal's entries that are suspect and hands to reverted each that
// took back something. It goes through them by ranges of members, so that all entries
// of a member are in one call, and entries that come or go meanwhile move no other.
func (d *Service) revert(ctx context.Context, scope tally.Scope, from, to int64, suspect func(tally.JournalEntry) bool, preview bool, reverted func(tally.JournalEntry)) error {
	part := memberRange{most: revertedAtOnce}
	for {
		err := d.store.Journal(ctx, scope, from, to, func(traces []tally.JournalEntry) error {
			for _, t := range traces {
				if suspect(t) {
					part.add(t)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		done, _, err := d.store.Revert(ctx, part.traces, preview)
		for _, t := range done {
			reverted(t)
		}
		if err != nil || !part.next() {
			return err
		}
	}
}

// memberRange holds the entries of members from first on to the one before end, at most
// most of them: the range becomes narrower while more are added.
type memberRange struct {
	most       int
	first, end tally.Member // end 0: no end
	traces     []tally.JournalEntry
}

func (r *memberRange) add(t tally.JournalEntry) {
	if t.Member < r.first || r.end != 0 && t.Member >= r.end {
		return
	}
	r.traces = append(r.traces, t)
	if len(r.traces) > r.most {
		r.narrow()
	}
}

// narrow halves the range, unless it is of one member.
func (r *memberRange) narrow() {
	members := make([]tally.Member, len(r.traces))
	for i, t := range r.traces {
		members[i] = t.Member
	}
	slices.Sort(members)
	middle := members[len(members)/2:]
	i := slices.IndexFunc(middle, func(m tally.Member) bool { return m > members[0] })
	if i < 0 {
		return
	}
	r.end = middle[i]
	r.traces = slices.DeleteFunc(r.traces, func(t tally.JournalEntry) bool { return t.Member >= r.end })
}

// next begins the range after this one. It reports whether there is one.
func (r *memberRange) next() bool {
	if r.end == 0 {
		return false
	}
	r.first, r.end, r.traces = r.end, 0, nil
	return true
}

// tracesFound counts traces.
type tracesFound struct {
	traces  int
	topics  map[tally.Topic]int
	sources map[tally.Source]int
}

func (f *tracesFound) add(t tally.JournalEntry) {
	f.traces++
	f.topics[t.Topic]++
	f.sources[t.Source]++
}

func (f *tracesFound) sum() Reverted {
	u := Reverted{Entries: f.traces, Sources: mostSources(f.sources)}
	for topic, n := range f.topics {
		u.Topics = append(u.Topics, TopicContributions{topic, n})
	}
	slices.SortFunc(u.Topics, func(a, b TopicContributions) int {
		return cmp.Or(b.Contributions-a.Contributions, strings.Compare(a.Topic.String(), b.Topic.String()))
	})
	return u
}

// mostSources returns the sources, the most first.
func mostSources(counts map[tally.Source]int) []SourceContributions {
	sources := make([]SourceContributions, 0, len(counts))
	for source, n := range counts {
		sources = append(sources, SourceContributions{source, n})
	}
	slices.SortFunc(sources, func(a, b SourceContributions) int {
		return cmp.Or(b.Contributions-a.Contributions, cmp.Compare(a.Source, b.Source))
	})
	return sources
}

// describeUndo names what is undone for the audit log.
func describeUndo(spike Selection, sources map[tally.Source]bool, to time.Time) string {
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
