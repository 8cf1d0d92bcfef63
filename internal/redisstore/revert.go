package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
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

// appendPositions appends where the entries are, see script/withdraw.lua; nothing if c is nil.
func (c *revertCall) appendPositions(packed []byte) []byte {
	if c == nil {
		return packed
	}
	const firstJournal = 5 // index of its key in KEYS
	for i, p := range c.positions {
		packed = append(packed, byte(firstJournal+slices.Index(c.days, p.day)))
		packed = binary.BigEndian.AppendUint32(packed, uint32(p.offset))
		packed = binary.BigEndian.AppendUint32(packed, uint32(c.entries[i].Minute))
	}
	return packed
}

const (
	// revertedAtOnce bounds the entries that one script call reverts: half a millisecond of
	// Redis.
	revertedAtOnce = 128
	// nearRevertCalls is how many calls one pipeline to a near Redis has, some milliseconds.
	nearRevertCalls = 32
	// maxTail is how many bytes of journals a script reads to find newer entries, a thousand
	// entries. Longer journals are read before, in portions.
	maxTail = 16 << 10
)

// topicRevert is the part of a revert that concerns one topic.
type topicRevert struct {
	topic     tally.Topic
	entries   []tally.JournalEntry
	positions []journalPosition

	// Set by inspect.
	present  []bool          // by entry: it is still in the journal
	selected []bool          // by entry: reverting it changes something
	lengths  map[int64]int64 // by day: how many bytes of its journal were read

	// While inspect reads.
	wanted map[journalPosition]int // index of the entry
	newest map[tally.Member]journalPosition
}

// first returns the day of the first entry.
func (r *topicRevert) first() int64 {
	first := r.positions[0].day
	for _, p := range r.positions {
		first = min(first, p.day)
	}
	return first
}

// revertCall is one call of a script that reverts entries of a topic.
type revertCall struct {
	*topicRevert
	entries   []tally.JournalEntry
	positions []journalPosition
	days      []int64         // whose journals the script gets
	begins    map[int64]int64 // by day, from where it reads the journal; a day without is not read
	most      int             // bytes that it reads; 0: all, since the journals were read before
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
	run := &revertRun{Store: s, today: now / minutesADay, mode: mode}
	reverts, err := run.byTopic(entries)
	if err != nil {
		return nil, nil, err
	}
	var calls []*revertCall
	for _, r := range reverts {
		if len(r.entries) > revertedAtOnce {
			run.long = append(run.long, r)
		} else {
			calls = append(calls, run.wholeCall(r))
		}
	}
	err = run.call(ctx, calls)
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
	today int64
	mode  tally.RevertMode

	long     []*topicRevert // topics whose journals are to be read before
	reverted []tally.JournalEntry
	changes  []tally.Change
}

// byTopic groups entries by topic, without those whose journals do not exist any more.
func (run *revertRun) byTopic(entries []tally.JournalEntry) (reverts []*topicRevert, err error) {
	byTopic := map[tally.Topic]*topicRevert{}
	for _, entry := range entries {
		if err := run.catalog.CheckEditable(entry.Topic); err != nil {
			return nil, err
		}
		place, err := parseJournalPosition(entry.Position)
		if err != nil {
			return nil, err
		}
		if place.day > run.today+1 || place.day <= run.today+1-int64(maxJournals) {
			continue
		}
		r := byTopic[entry.Topic]
		if r == nil {
			r = &topicRevert{topic: entry.Topic}
			byTopic[entry.Topic] = r
			reverts = append(reverts, r)
		}
		r.entries, r.positions = append(r.entries, entry), append(r.positions, place)
	}
	return reverts, nil
}

// wholeCall returns a call that reads the journals itself.
func (run *revertRun) wholeCall(r *topicRevert) *revertCall {
	c := &revertCall{topicRevert: r, entries: r.entries, positions: r.positions, most: maxTail}
	first := r.first()
	for day := first; day <= run.today+1; day++ {
		c.days = append(c.days, day)
	}
	if run.isWindow(r) {
		return c
	}
	c.begins = make(map[int64]int64, len(c.days))
	for _, day := range c.days {
		c.begins[day] = 0
	}
	c.begins[first] = math.MaxInt64
	for _, p := range r.positions {
		if p.day == first {
			c.begins[first] = min(c.begins[first], p.offset)
		}
	}
	return c
}

// isWindow reports whether each entry counts, also if it is not the newest of its member.
func (run *revertRun) isWindow(r *topicRevert) bool {
	return run.catalog.Rule(r.topic).Kind == tally.Window
}

// revertLong reads the journals of topics before it reverts their entries.
func (run *revertRun) revertLong(ctx context.Context, reverts []*topicRevert) error {
	if err := run.inspect(ctx, reverts); err != nil {
		return err
	}
	var calls []*revertCall
	for _, r := range reverts {
		more, err := run.inspectedCalls(ctx, r)
		if err != nil {
			return err
		}
		calls = append(calls, more...)
	}
	return run.call(ctx, calls)
}

// inspectedCalls returns the calls that revert the selected entries, and erases those that are
// superseded.
func (run *revertRun) inspectedCalls(ctx context.Context, r *topicRevert) (calls []*revertCall, err error) {
	var superseded []tally.JournalEntry
	byDay := map[int64]*revertCall{} // the call that has room for entries of a day
	for i, entry := range r.entries {
		if !r.selected[i] {
			if r.present[i] {
				superseded = append(superseded, entry)
			}
			continue
		}
		day := r.positions[i].day
		c := byDay[day]
		if c == nil || len(c.entries) == revertedAtOnce {
			c = &revertCall{topicRevert: r, days: []int64{day}}
			if !run.isWindow(r) {
				run.readAdded(c, day)
			}
			byDay[day] = c
			calls = append(calls, c)
		}
		c.entries, c.positions = append(c.entries, entry), append(c.positions, r.positions[i])
	}
	return calls, run.eraseEntries(ctx, r.topic, superseded)
}

// readAdded lets a call for entries of a day read what was added to the journals since inspect read
// them. Journals of days before yesterday do not grow; see [redistopology.NewDayCall] for tomorrow's.
func (run *revertRun) readAdded(c *revertCall, day int64) {
	c.days, c.begins = nil, map[int64]int64{}
	if day < run.today-1 {
		c.days = append(c.days, day)
	}
	for day := max(c.first(), run.today-1); day <= run.today+1; day++ {
		c.days, c.begins[day] = append(c.days, day), max(c.lengths[day]-journalEntryBytes, 0)
	}
}

// call makes calls in pipelines, and pauses between them.
func (run *revertRun) call(ctx context.Context, calls []*revertCall) error {
	for len(calls) > 0 {
		most := nearRevertCalls
		if run.topology.IsFar() {
			most = writeChunk
		}
		entries, n := 0, 0
		for n < len(calls) && n < most && entries < most+revertedAtOnce {
			if n > 0 && calls[n].topic == calls[n-1].topic {
				break // the changes of a topic have an order
			}
			entries += len(calls[n].entries)
			n++
		}
		began := time.Now()
		if err := run.callAndCollect(ctx, calls[:n]); err != nil {
			return err
		}
		if calls = calls[n:]; len(calls) > 0 {
			if err := run.giveWay(ctx, began); err != nil {
				return err
			}
		}
	}
	return nil
}

// longReply is the reply of a script if the journals are longer than it may read.
const longReply = "-3"

// callAndCollect makes calls in one pipeline, and collects their results.
func (run *revertRun) callAndCollect(ctx context.Context, some []*revertCall) (failed error) {
	calls := make([]redistopology.Call, len(some))
	for i, c := range some {
		calls[i] = run.withdrawCall(c.topic, c.entries, 0, c, run.mode)
		calls[i].Durable = true
	}
	err := run.callAll(ctx, calls)
	for i, c := range some {
		if err == nil && calls[i].Err == nil && calls[i].Text() == longReply {
			run.long = append(run.long, c.topicRevert)
			continue
		}
		reply, err := run.parseEdit("revert contributions to", c.topic, &calls[i], err)
		if err == nil && len(reply.taken) != len(c.entries) {
			err = tally.Unavailable(unexpectedReply(&calls[i]))
		}
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		for j, entry := range c.entries {
			if reply.taken[j] == '1' {
				run.reverted = append(run.reverted, entry)
			}
		}
		if reply.changed {
			run.changes = append(run.changes, reply.after.Change)
		}
	}
	return failed
}

// inspect reads the journals of reverts, each of another topic, and selects the entries to
// revert.
func (run *revertRun) inspect(ctx context.Context, reverts []*topicRevert) error {
	byTopic := make(map[tally.Topic]*topicRevert, len(reverts))
	var journals []dayJournal
	for _, r := range reverts {
		r.begin()
		byTopic[r.topic] = r
		journals = append(journals, dayJournals(r.topic, r.first(), run.today+1)...)
	}
	err := run.readJournals(ctx, journals, func(j dayJournal, offset int64, packed []byte) error {
		byTopic[j.topic].read(j.day, offset, packed)
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range reverts {
		r.selectEntries(run.isWindow(r))
	}
	return nil
}

// begin prepares r for its journals.
func (r *topicRevert) begin() {
	r.present, r.selected = make([]bool, len(r.entries)), make([]bool, len(r.entries))
	r.lengths = map[int64]int64{}
	r.wanted = make(map[journalPosition]int, len(r.entries))
	r.newest = make(map[tally.Member]journalPosition, len(r.entries))
	for i, p := range r.positions {
		r.wanted[p] = i
		r.newest[r.entries[i].Member] = journalPosition{}
	}
}

// read reads a portion of the journal of a day.
func (r *topicRevert) read(day, offset int64, packed []byte) {
	for at := 0; at+journalEntryBytes <= len(packed); at += journalEntryBytes {
		member := tally.Member(binary.BigEndian.Uint64(packed[at:]))
		if _, ok := r.newest[member]; !ok {
			continue
		}
		p := journalPosition{day, offset + int64(at)}
		r.newest[member] = p
		if i, ok := r.wanted[p]; ok {
			found := unpackEntry(r.topic, packed[at:])
			found.Position = r.entries[i].Position
			r.present[i] = found == r.entries[i]
		}
	}
	r.lengths[day] = offset + int64(len(packed))
}

// selectEntries selects the entries to revert by the journals that were read.
func (r *topicRevert) selectEntries(windowed bool) {
	for i, p := range r.positions {
		r.selected[i] = r.present[i] && r.wanted[p] == i && (windowed || r.newest[r.entries[i].Member] == p)
	}
	r.wanted, r.newest = nil, nil
}
