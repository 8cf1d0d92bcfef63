package redisstore

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// journalPosition is the position of an entry in the journals of a topic. Later days are
// newer, and so are greater offsets of one day.
type journalPosition struct {
	day    int64
	offset int64
}

func parseJournalPosition(text string) (p journalPosition, err error) {
	day, offset, _ := strings.Cut(text, ":")
	d, err1 := strconv.ParseUint(day, 10, 32)
	b, err2 := strconv.ParseUint(offset, 10, 32)
	if err1 != nil || err2 != nil {
		return p, tally.Errorf(tally.CodeBadBody, "%q is not the position of a journal entry", text)
	}
	return journalPosition{int64(d), int64(b)}, nil
}

const (
	// revertedAtOnce bounds the entries that one script call reverts, and those that a near Redis
	// has got and not answered: half a millisecond of Redis.
	revertedAtOnce = 128
	// nearRevertTopics is how many topics a near Redis has got and not answered: half a millisecond
	// of Redis, too, if each has one entry. One call has at most half of them.
	nearRevertTopics = 16
	// maxTail is how many bytes of journals a script reads to find newer entries, a thousand
	// entries; see script/part/journals.lua. Longer journals are read before, in portions.
	maxTail = 16 << 10
	// journalLead is how many minutes before its day a journal is read. The first entry comes at
	// most [redistopology.Timeout] before, and a call of Revert does not take so long.
	journalLead = 60
)

// revertEntry is an entry to revert, and where it is.
type revertEntry struct {
	tally.JournalEntry
	journalPosition
}

// topicRevert is the part of a revert that concerns one topic.
type topicRevert struct {
	topic   tally.Topic
	entries []revertEntry // in the order of their positions, which differ

	inspection // of long journals
}

// journalRange is the part of a day's journal that a script reads, from an offset to the end.
type journalRange struct {
	day  int64
	from int64 // notRead: the script gets the key only
}

const notRead = -1

// revertPart is the entries of a topic that one call of a script reverts.
type revertPart struct {
	*topicRevert
	entries  []revertEntry
	journals []journalRange // the earliest first
	isRead   bool           // the caller read the journals up to the ranges
	until    int64          // see [redistopology.Call]
	isAlone  bool           // the call is for no other topic
}

// Revert implements [tally.JournalStore]. A script reverts the entries of a topic that are the
// newest of their members. If its journals are long, they are read before, and the script reads
// what was added since.
func (s *Store) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	if len(entries) == 0 {
		return nil, nil, nil
	}
	now, err := s.minute(ctx)
	if err != nil {
		return nil, nil, err
	}
	run := &revertRun{Store: s, began: time.Now(), minute: now, mode: mode, reverted: make([]tally.JournalEntry, 0, len(entries))}
	reverts, err := run.byTopic(entries)
	if err != nil {
		return nil, nil, err
	}
	var short []*topicRevert
	for _, r := range reverts {
		if len(r.entries) > revertedAtOnce {
			run.long = append(run.long, r)
		} else {
			short = append(short, r)
		}
	}
	err = run.call(ctx, func(yield func(*revertPart) bool) {
		for _, r := range short {
			if !yield(run.wholePart(r)) {
				return
			}
		}
	})
	for some := range slices.Chunk(run.long, writeChunk) {
		if err == nil {
			err = run.revertLong(ctx, some)
		}
	}
	return run.reverted, run.changes, err
}

// revertRun is a call of [Store.Revert].
type revertRun struct {
	*Store
	began  time.Time
	minute int64 // then, of Redis's clock
	mode   tally.RevertMode

	long     []*topicRevert // topics whose journals are to be read before
	reverted []tally.JournalEntry
	changes  []tally.Change
}

// tomorrow returns the day after the present one of Redis's clock.
func (run *revertRun) tomorrow() int64 { return run.now()/minutesADay + 1 }

// now returns the present minute of Redis's clock, unless that was set meanwhile.
func (run *revertRun) now() int64 { return run.minute + int64(time.Since(run.began)/time.Minute) }

// byTopic groups entries by topic, without those whose journals do not exist any more.
func (run *revertRun) byTopic(entries []tally.JournalEntry) (reverts []*topicRevert, err error) {
	all := make([]revertEntry, 0, len(entries))
	for _, entry := range entries {
		if err := run.catalog.CheckEditable(entry.Topic); err != nil {
			return nil, err
		}
		place, err := parseJournalPosition(entry.Position)
		if err != nil {
			return nil, err
		}
		if tomorrow := run.tomorrow(); place.day <= tomorrow && place.day > tomorrow-int64(maxJournals) {
			all = append(all, revertEntry{entry, place})
		}
	}
	compare := func(a, b revertEntry) int {
		return cmp.Or(a.Topic.Compare(b.Topic), cmp.Compare(a.day, b.day), cmp.Compare(a.offset, b.offset))
	}
	slices.SortFunc(all, compare)
	all = slices.CompactFunc(all, func(a, b revertEntry) bool { return compare(a, b) == 0 })
	for len(all) > 0 {
		topic, n := all[0].Topic, 1
		for n < len(all) && all[n].Topic == topic {
			n++
		}
		reverts = append(reverts, &topicRevert{topic: topic, entries: all[:n:n]})
		all = all[n:]
	}
	return reverts, nil
}

// wholePart returns a part for which the script reads the journals.
func (run *revertRun) wholePart(r *topicRevert) *revertPart {
	first, today := r.entries[0].journalPosition, (run.now()+journalLead)/minutesADay
	part := &revertPart{topicRevert: r, entries: r.entries, journals: []journalRange{{first.day, first.offset}}}
	for day := first.day + 1; day <= max(today, r.entries[len(r.entries)-1].day); day++ {
		part.journals = append(part.journals, journalRange{day: day})
	}
	if run.isWindow(r) {
		for i := range part.journals {
			part.journals[i].from = notRead
		}
	} else {
		part.until = (today+1)*redistopology.Day.Microseconds() - (journalLead/2)*time.Minute.Microseconds()
	}
	return part
}

// isWindow reports whether each entry counts, also if it is not the newest of its member.
func (run *revertRun) isWindow(r *topicRevert) bool {
	return run.catalog.Rule(r.topic).Kind == tally.Window
}

// revertPipeline is calls that are sent together.
type revertPipeline struct {
	parts   []*revertPart // of different topics
	entries int
	groups  [][]*revertPart // the parts of each call
	calls   []redistopology.Call

	// Set when ended is closed.
	ended chan struct{}
	err   error // why no call was made
}

// call makes calls for parts in pipelines. While Redis runs one, the instance sends the next and
// collects the results of the one before. A like waits for those that Redis has got.
func (run *revertRun) call(ctx context.Context, parts iter.Seq[*revertPart]) (failed error) {
	most, mostEntries := nearRevertTopics, revertedAtOnce
	if run.topology.IsFar() {
		most, mostEntries = writeChunk, writeChunk
	}
	// Two goroutines send all pipelines, since the stack of a new one grows. They end with this call.
	queue, senders := make(chan *revertPipeline), sync.WaitGroup{}
	for range 2 {
		senders.Go(func() {
			for p := range queue {
				p.err = run.callAll(ctx, p.calls)
				close(p.ended)
			}
		})
	}
	defer senders.Wait()
	defer close(queue)
	var sent []*revertPipeline // the oldest first
	sentTopics, sentEntries := 0, 0
	for next := range run.pipelines(parts, most/2, mostEntries) {
		for len(sent) > 0 && failed == nil && (sentTopics+len(next.parts) > most || sentEntries+next.entries > mostEntries || next.follows(sent[len(sent)-1])) {
			oldest := sent[0]
			failed = run.collect(ctx, oldest)
			sent, sentTopics, sentEntries = sent[1:], sentTopics-len(oldest.parts), sentEntries-oldest.entries
		}
		if failed != nil {
			break
		}
		queue <- next
		sent, sentTopics, sentEntries = append(sent, next), sentTopics+len(next.parts), sentEntries+next.entries
	}
	for _, p := range sent {
		failed = cmp.Or(failed, run.collect(ctx, p))
	}
	return failed
}

// follows reports whether p begins with a topic that before ends with. The changes of a topic have
// an order.
func (p *revertPipeline) follows(before *revertPipeline) bool {
	return p.parts[0].topic == before.parts[len(before.parts)-1].topic
}

// pipelines divides parts into pipelines of at most so many topics and entries.
func (run *revertRun) pipelines(parts iter.Seq[*revertPart], most, mostEntries int) iter.Seq[*revertPipeline] {
	return func(yield func(*revertPipeline) bool) {
		var p *revertPipeline
		for part := range parts {
			if p != nil && (len(p.parts) == most || p.entries+len(part.entries) > mostEntries || p.parts[len(p.parts)-1].topic == part.topic) {
				if !yield(run.encode(p)) {
					return
				}
				p = nil
			}
			if p == nil {
				p = &revertPipeline{ended: make(chan struct{})}
			}
			p.parts, p.entries = append(p.parts, part), p.entries+len(part.entries)
		}
		if p != nil {
			yield(run.encode(p))
		}
	}
}

// encode prepares the calls of p.
func (run *revertRun) encode(p *revertPipeline) *revertPipeline {
	for from, to := 0, 1; to <= len(p.parts); to++ {
		if group := p.parts[from:to]; to == len(p.parts) || !run.fits(p.parts[to], group) {
			p.groups, p.calls, from = append(p.groups, group), append(p.calls, run.groupCall(group)), to
		}
	}
	return p
}

// fits reports whether the call for group can have another part. In a Cluster the keys of a call are
// in one slot.
func (run *revertRun) fits(part *revertPart, group []*revertPart) bool {
	first, entries := group[0], len(part.entries)
	for _, other := range group {
		entries += len(other.entries)
	}
	return !run.topology.IsCluster() && !part.isAlone && len(group) < nearRevertTopics/2 && entries <= revertedAtOnce &&
		run.catalog.Rule(part.topic) == run.catalog.Rule(first.topic) &&
		len(part.journals) == len(first.journals) && part.isRead == first.isRead && part.until == first.until
}

// longReply is the reply of a script if the journals are longer than it may read.
const longReply = "-3"

// collect waits for a pipeline and collects its results.
func (run *revertRun) collect(ctx context.Context, p *revertPipeline) (failed error) {
	<-p.ended
	var rest []*revertPart
	for i, group := range p.groups {
		for j, part := range group {
			reply := p.calls[i] // to the topic
			if list, ok := reply.Reply.([]any); ok && p.err == nil && reply.Err == nil && len(group) > 1 {
				if j >= len(list) { // after a topic that failed, or that one
					part.isAlone = true
					rest = append(rest, part)
					continue
				}
				reply.Reply = list[j]
			}
			failed = cmp.Or(failed, run.collectPart(part, &reply, p.err))
		}
	}
	if len(rest) > 0 {
		failed = cmp.Or(failed, run.call(ctx, slices.Values(rest)))
	}
	return failed
}

// collectPart collects the result of a part from the reply to its topic. failed is why no call was
// made.
func (run *revertRun) collectPart(part *revertPart, reply *redistopology.Call, failed error) error {
	if failed == nil && reply.Err == nil && reply.Text() == longReply {
		run.long = append(run.long, part.topicRevert)
		return nil
	}
	change, texts, err := run.parseParts("revert contributions to", part.topic, reply, failed)
	if err != nil {
		return err
	}
	if len(texts) != 2 || len(texts[1]) != len(part.entries) {
		return tally.Unavailable(unexpectedReply(reply))
	}
	for i := range part.entries {
		if texts[1][i] == '1' {
			run.reverted = append(run.reverted, part.entries[i].JournalEntry)
		}
	}
	if texts[0] == "1" {
		run.changes = append(run.changes, change)
	}
	return nil
}
