package redisstore

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// inspection is what a revert knows of a topic whose journals it read.
type inspection struct {
	present  []bool          // by entry: it is still in the journal
	selected []bool          // by entry: reverting it changes something
	lengths  map[int64]int64 // by day: how many bytes of its journal were read

	// While it reads.
	wanted map[journalPosition]int // index of the entry
	newest map[tally.Member]journalPosition
}

// revertLong reads the journals of topics before it reverts their entries.
func (run *revertRun) revertLong(ctx context.Context, reverts []*topicRevert) error {
	if err := run.inspect(ctx, reverts); err != nil {
		return err
	}
	var parts []*revertPart
	for _, r := range reverts {
		more, err := run.inspectedParts(ctx, r)
		if err != nil {
			return err
		}
		parts = append(parts, more...)
	}
	return run.call(ctx, slices.Values(parts))
}

// inspectedParts returns the selected entries in parts, and erases those that are superseded.
func (run *revertRun) inspectedParts(ctx context.Context, r *topicRevert) (parts []*revertPart, err error) {
	var superseded []tally.JournalEntry
	byDay := map[int64]*revertPart{} // the part that has room for entries of a day
	for i, entry := range r.entries {
		if !r.selected[i] {
			if r.present[i] {
				superseded = append(superseded, entry.JournalEntry)
			}
			continue
		}
		part := byDay[entry.day]
		if part == nil || len(part.entries) == revertedAtOnce {
			part = &revertPart{topicRevert: r, isRead: true, journals: []journalRange{{entry.day, notRead}}}
			if !run.isWindow(r) {
				part.journals = run.addedRanges(r, entry.day)
			}
			byDay[entry.day] = part
			parts = append(parts, part)
		}
		part.entries = append(part.entries, entry)
	}
	return parts, run.eraseEntries(ctx, r.topic, superseded)
}

// addedRanges returns what was added since inspect read the journals, and the journal of day.
// Journals of days before yesterday do not grow; see [redistopology.NewDayCall] for tomorrow's.
func (run *revertRun) addedRanges(r *topicRevert, day int64) (ranges []journalRange) {
	tomorrow := run.tomorrow()
	if day < tomorrow-2 {
		ranges = append(ranges, journalRange{day, notRead})
	}
	for day := max(r.entries[0].day, tomorrow-2); day <= tomorrow; day++ {
		ranges = append(ranges, journalRange{day, max(r.lengths[day]-journalEntryBytes, 0)})
	}
	return ranges
}

// inspect reads the journals of reverts, each of another topic, and selects the entries to
// revert.
func (run *revertRun) inspect(ctx context.Context, reverts []*topicRevert) error {
	byTopic := make(map[tally.Topic]*topicRevert, len(reverts))
	var journals []dayJournal
	for _, r := range reverts {
		r.begin()
		byTopic[r.topic] = r
		journals = append(journals, dayJournals(r.topic, r.entries[0].day, run.tomorrow())...)
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
	for i := range r.entries {
		r.wanted[r.entries[i].journalPosition] = i
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
			r.present[i] = found == r.entries[i].JournalEntry
		}
	}
	r.lengths[day] = offset + int64(len(packed))
}

// selectEntries selects the entries to revert by the journals that were read.
func (r *topicRevert) selectEntries(windowed bool) {
	for i := range r.entries {
		r.selected[i] = r.present[i] && (windowed || r.newest[r.entries[i].Member] == r.entries[i].journalPosition)
	}
	r.wanted, r.newest = nil, nil
}
