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

// clockSlack is by how many minutes the store's clock may be ahead of this machine's. The journal is
// read up to that time.
const clockSlack = 5

// minute returns the minutes since the Unix epoch.
func minute(at time.Time) int64 { return at.Unix() / 60 }

// minuteStart returns when a minute begins.
func minuteStart(minute int64) time.Time { return time.Unix(60*minute, 0).UTC() }

// Selection selects journal entries: of Topics, or of all topics in Scope if there are
// none; made in the minutes From to To, both included; from one of Sources or the networks
// of Addresses, or from anywhere if both are empty.
type Selection struct {
	Scope     tally.Scope
	Topics    []tally.Topic
	From, To  time.Time // zero To: now
	Sources   []tally.Source
	Addresses []netip.Addr
	Repeated  bool // only from networks that contributed more than once to the topic in this time
}

// Reverted counts the contributions that [Service.Revert] reverted, or would revert with
// preview. The greatest numbers come first.
type Reverted struct {
	Entries int                   `json:"contributions"` // journal entries whose contribution was removed
	Topics  []TopicContributions  `json:"topics"`
	Sources []SourceContributions `json:"sources"`
}

// TopicContributions is a number of contributions to a topic.
type TopicContributions struct {
	Topic         tally.Topic `json:"topic"`
	Contributions int         `json:"contributions"`
}

// SourceContributions is a number of contributions from a source.
type SourceContributions struct {
	Source        tally.Source `json:"source"`
	Contributions int          `json:"contributions"`
}

// Revert removes the contribution of each visitor whose newest journal entry is selected; in a
// window metric it removes the contribution of each selected entry. Later contributions, from
// another network or another time, stay. With preview, Revert changes nothing and returns what it
// would revert. It may be interrupted and repeated. Errors: [tally.CodeBadBody] if the selection is
// invalid; [tally.CodeStoreUnavailable], with the contributions that were reverted until then.
func (s *Service) Revert(ctx context.Context, actor string, selection Selection, preview bool) (Reverted, error) {
	if err := selection.validate(); err != nil {
		return Reverted{}, err
	}
	from, to := selection.From, selection.To
	if to.IsZero() {
		to = s.now().Add(clockSlack * time.Minute)
	}
	if to.Before(from) {
		return Reverted{}, tally.Errorf(tally.CodeBadBody, "from must be before to, and in the past")
	}
	sources, err := s.selectedSources(selection)
	if err != nil {
		return Reverted{}, err
	}
	scopes := []tally.Scope{selection.Scope}
	if len(selection.Topics) > 0 {
		scopes = nil
		for _, topic := range selection.Topics {
			scopes = append(scopes, tally.ScopeOf(topic))
		}
	}
	entry := tally.AuditEntry{Actor: actor, Action: undoAction, Target: selectionName(scopes, sources, from, to), Detail: undoBegins, Sites: sitesOf(scopes...)}
	do, read := s.preview, s.store.SearchJournal
	if !preview {
		do, read = s.revertPast, s.store.Journal // SearchJournal may lack entries
		if err := s.auditBegin(ctx, entry); err != nil {
			return Reverted{}, err
		}
	}
	counts := entryCounts{topics: []TopicContributions{}, sources: map[tally.Source]int{}}
	for _, scope := range scopes {
		isSelected, err1 := s.selector(ctx, read, scope, selection.Repeated, sources, minute(from), minute(to))
		if err = err1; err == nil {
			err = do(ctx, scope, minute(from), minute(to), isSelected, counts.add)
		}
		if err != nil {
			break
		}
	}
	result := counts.reverted()
	if preview {
		return result, err
	}
	entry.Detail = fmt.Sprintf("%s to %s reverted", tally.Quantity(result.Entries, "contribution"), tally.Quantity(len(result.Topics), "topic"))
	return result, s.auditEnd(ctx, entry, err)
}

// selector returns a function that reports whether a revert selects an entry: whether it is from one
// of sources, or sources is empty; and, with repeated, whether its network contributed more than
// once to its topic.
func (s *Service) selector(ctx context.Context, read journalReader, scope tally.Scope, repeated bool, sources map[tally.Source]bool, from, to int64) (isSelected func(tally.JournalEntry) bool, err error) {
	isSelected = func(e tally.JournalEntry) bool { return len(sources) == 0 || sources[e.Source] }
	if !repeated {
		return isSelected, nil
	}
	repeating, err := repeating(ctx, read, scope, from, to, isSelected)
	return func(e tally.JournalEntry) bool { return repeating[topicSource{e.Topic, e.Source}] > 1 }, err
}

func (s Selection) validate() error {
	switch {
	case len(s.Topics) == 0 && s.Scope.Site == "":
		return tally.Errorf(tally.CodeBadBody, "name topics or a site")
	case len(s.Topics) > 0 && s.Scope.Site != "":
		return tally.Errorf(tally.CodeBadBody, "name either topics or a site with its metric and prefix")
	case s.From.IsZero():
		return tally.Errorf(tally.CodeBadBody, "from is required: a time such as 2026-11-22T10:00:00Z")
	case slices.ContainsFunc(s.Addresses, func(a netip.Addr) bool { return !a.IsValid() }):
		return tally.Errorf(tally.CodeBadBody, "an address is empty; give one such as 203.0.113.7")
	}
	return nil
}

// selectedSources returns the sources of the selection, empty for any source.
func (s *Service) selectedSources(selection Selection) (map[tally.Source]bool, error) {
	sources := map[tally.Source]bool{}
	for _, source := range selection.Sources {
		sources[source] = true
	}
	if len(selection.Addresses) == 0 {
		return sources, nil
	}
	secret, err := s.store.Secret()
	if err != nil {
		return nil, err
	}
	hasher := tally.NewHasher(secret)
	for _, address := range selection.Addresses {
		sources[hasher.Source(address.Unmap())] = true
	}
	return sources, nil
}

// defaultMaxReverted is how many journal entries, about 300 bytes each with the indexes of a
// store, are held in memory between reading and reverting them.
const defaultMaxReverted = 100_000

// journalReader is a method of [tally.JournalStore] that reads the journal.
type journalReader func(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error

// topicSource is a network that contributed to a topic.
type topicSource struct {
	topic  tally.Topic
	source tally.Source
}

// repeating counts the selected entries of each topic and network. Each pair takes up to 100 bytes.
func repeating(ctx context.Context, read journalReader, scope tally.Scope, from, to int64, isSelected func(tally.JournalEntry) bool) (map[topicSource]int, error) {
	counts := map[topicSource]int{}
	err := read(ctx, scope, from, to, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			if isSelected(e) && e.Source != 0 { // 0: a server of the owner
				counts[topicSource{e.Topic, e.Source}]++
			}
		}
		return nil
	})
	return counts, err
}

// preview calls reverted for each selected entry that a revert would revert: the newest entry of a
// member, and in a window metric each entry; see [tally.JournalStore].
func (s *Service) preview(ctx context.Context, scope tally.Scope, from, to int64, isSelected func(tally.JournalEntry) bool, reverted func(tally.JournalEntry)) error {
	end := max(to, minute(s.now())+clockSlack) // later entries may be the newest
	everyEntry := func(tally.JournalEntry) bool { return true }
	const maxCleared = 64 // it takes longer to clear a larger map
	hasNewer := map[tally.Member]bool{}
	return s.eachBatch(ctx, s.store.SearchJournal, scope, from, end, min(tally.MaxPortion, s.maxReverted/2), everyEntry, func(entries []tally.JournalEntry) error {
		var topic tally.Topic
		isWindow := false
		for _, e := range slices.Backward(entries) {
			if e.Topic != topic {
				topic, isWindow = e.Topic, s.catalog.Rule(e.Topic).Kind == tally.Window
				if len(hasNewer) > maxCleared {
					hasNewer = map[tally.Member]bool{}
				}
				clear(hasNewer)
			}
			if e.Minute <= to && (isWindow || !hasNewer[e.Member]) && isSelected(e) {
				reverted(e)
			}
			hasNewer[e.Member] = true
		}
		return nil
	})
}

// revertPast reverts the selected entries, and lowers the history since them.
func (s *Service) revertPast(ctx context.Context, scope tally.Scope, from, to int64, isSelected func(tally.JournalEntry) bool, reverted func(tally.JournalEntry)) error {
	return s.revert(ctx, scope, from, to, isSelected, tally.RevertPast, reverted)
}

// revert reverts the selected entries and calls reverted for each that removed a
// contribution.
func (s *Service) revert(ctx context.Context, scope tally.Scope, from, to int64, isSelected func(tally.JournalEntry) bool, mode tally.RevertMode, reverted func(tally.JournalEntry)) error {
	defer s.spikes.clear()
	return s.eachBatch(ctx, s.store.Journal, scope, from, to, s.maxReverted/2, isSelected, func(entries []tally.JournalEntry) error {
		done, _, err := s.store.Revert(ctx, entries, mode)
		for _, e := range done {
			reverted(e)
		}
		return err
	})
}

// eachBatch passes the selected entries to flush in batches, which end with the topic after which they
// have more than most. A topic with very many entries has batches of its own, of some of its members.
func (s *Service) eachBatch(ctx context.Context, read journalReader, scope tally.Scope, from, to int64, most int, isSelected func(tally.JournalEntry) bool, flush func([]tally.JournalEntry) error) error {
	var batch []tally.JournalEntry
	var topic tally.Topic // of the entries of batch from begin on
	var large []tally.Topic
	begin, isLarge := 0, false
	err := read(ctx, scope, from, to, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			if e.Topic != topic {
				if begin = len(batch); begin > most {
					if err := flush(batch); err != nil {
						return err
					}
					batch, begin = batch[:0], 0
				}
				topic, isLarge = e.Topic, false
			}
			if isLarge || !isSelected(e) {
				continue
			}
			if batch = append(batch, e); len(batch)-begin > s.maxReverted/2 {
				large, isLarge, batch = append(large, topic), true, batch[:begin]
			}
		}
		return nil
	})
	if err == nil {
		err = flush(batch)
	}
	for _, topic := range large {
		if err == nil {
			err = s.eachRange(ctx, topic, from, to, isSelected, flush)
		}
	}
	return err
}

// eachRange passes the selected entries of one topic to flush, by ranges of members. An entry that is
// added or removed meanwhile does not move others to another range. It reads the journal of the
// topic once for each range.
func (s *Service) eachRange(ctx context.Context, topic tally.Topic, from, to int64, isSelected func(tally.JournalEntry) bool, flush func([]tally.JournalEntry) error) error {
	part := memberRange{limit: s.maxReverted}
	for {
		err := s.store.Journal(ctx, tally.ScopeOf(topic), from, to, func(entries []tally.JournalEntry) error {
			for _, e := range entries {
				if isSelected(e) {
					part.add(e)
				}
			}
			return nil
		})
		if err == nil {
			err = flush(part.entries)
		}
		if err != nil || !part.next() {
			return err
		}
	}
}

// memberRange holds the journal entries of the members from first up to, but not including,
// end. When it holds more than limit entries, it drops the upper half of its members. A
// range with one member may hold more.
type memberRange struct {
	limit      int
	first, end tally.Member // end 0: no end
	entries    []tally.JournalEntry
}

func (r *memberRange) add(e tally.JournalEntry) {
	if e.Member < r.first || r.end != 0 && e.Member >= r.end {
		return
	}
	r.entries = append(r.entries, e)
	if len(r.entries) > r.limit {
		r.halve()
	}
}

// halve halves the range, unless it has one member.
func (r *memberRange) halve() {
	members := make([]tally.Member, len(r.entries))
	for i, e := range r.entries {
		members[i] = e.Member
	}
	slices.Sort(members)
	upper := members[len(members)/2:]
	i := slices.IndexFunc(upper, func(m tally.Member) bool { return m > members[0] })
	if i < 0 {
		return
	}
	r.end = upper[i]
	r.entries = slices.DeleteFunc(r.entries, func(e tally.JournalEntry) bool { return e.Member >= r.end })
}

// next begins the range after this one. It reports whether there is one.
func (r *memberRange) next() bool {
	if r.end == 0 {
		return false
	}
	r.first, r.end, r.entries = r.end, 0, nil
	return true
}

// entryCounts counts journal entries.
type entryCounts struct {
	entries int
	topics  []TopicContributions // a topic has several elements if entries of another one were between
	sources map[tally.Source]int
}

func (c *entryCounts) add(e tally.JournalEntry) {
	c.entries++
	if n := len(c.topics); n == 0 || c.topics[n-1].Topic != e.Topic {
		c.topics = append(c.topics, TopicContributions{Topic: e.Topic})
	}
	c.topics[len(c.topics)-1].Contributions++
	c.sources[e.Source]++
}

func (c *entryCounts) reverted() Reverted {
	slices.SortFunc(c.topics, func(a, b TopicContributions) int { return a.Topic.Compare(b.Topic) })
	r := Reverted{Entries: c.entries, Topics: c.topics[:0], Sources: rankSources(c.sources)}
	for i, t := range c.topics {
		if i == 0 || r.Topics[len(r.Topics)-1].Topic != t.Topic {
			r.Topics = append(r.Topics, TopicContributions{Topic: t.Topic})
		}
		r.Topics[len(r.Topics)-1].Contributions += t.Contributions
	}
	slices.SortStableFunc(r.Topics, func(a, b TopicContributions) int { return b.Contributions - a.Contributions })
	return r
}

// rankSources returns the sources, those with the most contributions first.
func rankSources(counts map[tally.Source]int) []SourceContributions {
	sources := make([]SourceContributions, 0, len(counts))
	for source, n := range counts {
		sources = append(sources, SourceContributions{source, n})
	}
	slices.SortFunc(sources, func(a, b SourceContributions) int {
		return cmp.Or(b.Contributions-a.Contributions, cmp.Compare(a.Source, b.Source))
	})
	return sources
}

// selectionName returns how the audit log names a selection.
func selectionName(scopes []tally.Scope, sources map[tally.Source]bool, from, to time.Time) string {
	var names []string
	for _, scope := range scopes {
		names = append(names, scopeName(scope))
	}
	text := shorten(names) + " from " + from.UTC().Format(time.RFC3339) + " to " + to.UTC().Format(time.RFC3339)
	if len(sources) == 0 {
		return text
	}
	names = nil
	for source := range sources {
		names = append(names, source.String())
	}
	slices.Sort(names)
	return text + ", of " + shorten(names)
}

// shorten joins the first ten names, and adds the number of the others.
func shorten(names []string) string {
	const shown = 10
	if len(names) > shown {
		names = append(names[:shown:shown], fmt.Sprintf("and %d more", len(names)-shown))
	}
	return strings.Join(names, ", ")
}
