package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"strconv"
	"strings"
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
	// nearRevertCalls is how many calls a near Redis has got and not answered: half a millisecond
	// of Redis, too, if each reverts one entry.
	nearRevertCalls = 16
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

// revertCall is one call of a script that reverts entries of a topic.
type revertCall struct {
	*topicRevert
	entries  []revertEntry
	journals []journalRange // the earliest first
	isRest   bool           // the caller read the journals up to the ranges
	until    int64          // see [redistopology.Call]
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
	run := &revertRun{Store: s, began: time.Now(), minute: now, mode: mode}
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
	err = run.call(ctx, func(yield func(*revertCall) bool) {
		for _, r := range short {
			if !yield(run.wholeCall(r)) {
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

// wholeCall returns a call that reads the journals itself.
func (run *revertRun) wholeCall(r *topicRevert) *revertCall {
	first, today := r.entries[0].journalPosition, (run.now()+journalLead)/minutesADay
	c := &revertCall{topicRevert: r, entries: r.entries, journals: []journalRange{{first.day, first.offset}}}
	for day := first.day + 1; day <= max(today, r.entries[len(r.entries)-1].day); day++ {
		c.journals = append(c.journals, journalRange{day: day})
	}
	if run.isWindow(r) {
		for i := range c.journals {
			c.journals[i].from = notRead
		}
	} else {
		c.until = (today+1)*redistopology.Day.Microseconds() - (journalLead/2)*time.Minute.Microseconds()
	}
	return c
}

// isWindow reports whether each entry counts, also if it is not the newest of its member.
func (run *revertRun) isWindow(r *topicRevert) bool {
	return run.catalog.Rule(r.topic).Kind == tally.Window
}

// revertPipeline is calls that are sent together, each for an element of reverts.
type revertPipeline struct {
	reverts []*revertCall
	calls   []redistopology.Call
	entries int

	// Set when ended is closed.
	ended chan struct{}
	err   error // why no call was made
}

// call makes calls in pipelines. While Redis runs one, the instance sends the next and collects
// the results of the one before. A like waits for those that Redis has got.
func (run *revertRun) call(ctx context.Context, calls iter.Seq[*revertCall]) (failed error) {
	most, mostEntries := nearRevertCalls, revertedAtOnce
	if run.topology.IsFar() {
		most, mostEntries = writeChunk, writeChunk
	}
	var sent []*revertPipeline // the oldest first
	sentCalls, sentEntries := 0, 0
	for next := range run.pipelines(calls, most/2, mostEntries) {
		for len(sent) > 0 && failed == nil && (sentCalls+len(next.calls) > most || sentEntries+next.entries > mostEntries || next.follows(sent[len(sent)-1])) {
			oldest := sent[0]
			failed = run.collect(oldest)
			sent, sentCalls, sentEntries = sent[1:], sentCalls-len(oldest.calls), sentEntries-oldest.entries
		}
		if failed != nil {
			break
		}
		go next.send(ctx, run.Store) // ends within the timeout of a call; ended tells
		sent, sentCalls, sentEntries = append(sent, next), sentCalls+len(next.calls), sentEntries+next.entries
	}
	for _, p := range sent {
		failed = cmp.Or(failed, run.collect(p))
	}
	return failed
}

// follows reports whether p begins with a topic that before ends with. The changes of a topic have
// an order.
func (p *revertPipeline) follows(before *revertPipeline) bool {
	return p.reverts[0].topic == before.reverts[len(before.reverts)-1].topic
}

// pipelines divides calls into pipelines of at most so many calls, of different topics, and entries.
func (run *revertRun) pipelines(calls iter.Seq[*revertCall], most, mostEntries int) iter.Seq[*revertPipeline] {
	return func(yield func(*revertPipeline) bool) {
		var p *revertPipeline
		for c := range calls {
			if p != nil && (len(p.calls) == most || p.entries+len(c.entries) > mostEntries || p.reverts[len(p.calls)-1].topic == c.topic) {
				if !yield(p) {
					return
				}
				p = nil
			}
			if p == nil {
				p = &revertPipeline{ended: make(chan struct{})}
			}
			p.reverts, p.calls, p.entries = append(p.reverts, c), append(p.calls, run.revertCall(c)), p.entries+len(c.entries)
		}
		if p != nil {
			yield(p)
		}
	}
}

func (p *revertPipeline) send(ctx context.Context, s *Store) {
	defer close(p.ended)
	p.err = s.callAll(ctx, p.calls)
}

// longReply is the reply of a script if the journals are longer than it may read.
const longReply = "-3"

// collect waits for a pipeline and collects its results.
func (run *revertRun) collect(p *revertPipeline) (failed error) {
	<-p.ended
	for i, c := range p.reverts {
		call := &p.calls[i]
		if p.err == nil && call.Err == nil && call.Text() == longReply {
			run.long = append(run.long, c.topicRevert)
			continue
		}
		change, parts, err := run.parseParts("revert contributions to", c.topic, call, p.err)
		if err == nil && (len(parts) != 2 || len(parts[1]) != len(c.entries)) {
			err = tally.Unavailable(unexpectedReply(call))
		}
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		for j := range c.entries {
			if parts[1][j] == '1' {
				run.reverted = append(run.reverted, c.entries[j].JournalEntry)
			}
		}
		if parts[0] == "1" {
			run.changes = append(run.changes, change)
		}
	}
	return failed
}

// revertCall returns the call of a script for c.
func (run *revertRun) revertCall(c *revertCall) redistopology.Call {
	rule, texts := run.catalog.Rule(c.topic), run.names.forWrite(c.topic)
	keys := texts.keys[:4:4]
	firstJournal := len(keys)
	for _, j := range c.journals {
		keys = append(keys, texts.journal+strconv.FormatInt(j.day, 10))
	}
	call := redistopology.NewCall(withdrawScriptFor(rule), keys...)
	call.Durable, call.Until = true, c.until
	packed := appendHead(&call, texts, rule, len(c.entries))
	places := make([]byte, 0, len(c.entries)*(9+journalEntryBytes))
	for i := range c.entries {
		e := &c.entries[i]
		packed = appendWrite(packed, rule, &tally.Write{Member: e.Member, Source: e.Source})
		at := slices.IndexFunc(c.journals, func(j journalRange) bool { return j.day == e.day })
		start := int64(0)
		if from := c.journals[at].from; from != notRead && e.offset >= from {
			start = e.offset - from + 1
		}
		places = append(places, byte(firstJournal+1+at))
		places = binary.BigEndian.AppendUint32(places, uint32(e.offset))
		places = binary.BigEndian.AppendUint32(places, uint32(start))
		places = appendEntry(places, &e.JournalEntry)
	}
	call.Append(packed, 0, places, run.historyRetention, run.mode == tally.RevertPast)
	for _, j := range c.journals {
		switch {
		case j.from == notRead:
			call.Append("", "")
		case c.isRest:
			call.Append(j.from, -1)
		default:
			call.Append(j.from, j.from+maxTail)
		}
	}
	return call
}
