package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

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

// topicRevert is the part of a revert that concerns one topic.
type topicRevert struct {
	topic     tally.Topic
	entries   []tally.JournalEntry
	positions []journalPosition

	// Set by inspect.
	present  []bool          // by entry: it is still in the journal
	selected []bool          // by entry: reverting it changes something
	first    int64           // the first day that was read
	lengths  map[int64]int64 // by day: how many bytes of its journal were read

	// While inspect reads.
	wanted map[journalPosition]int // index of the entry
	newest map[tally.Member]journalPosition
}

// revertedJournal is the journal of one day whose entries a script reverts.
type revertedJournal struct {
	key     string
	offsets []uint32 // of the entries
	// later are the journals that may have got more entries, and lengths how many bytes of
	// each were read.
	later   []string
	lengths []int64
}

// Revert implements [tally.Ledger]. It reads the journals of each topic from the first
// entry's on to find the newest entry of each member. The scripts then check whether an
// entry is still there, and whether its member has a newer one since.
func (s *Store) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	var reverts []*topicRevert
	byTopic := map[tally.Topic]*topicRevert{}
	for _, entry := range entries {
		if err := s.catalog.CheckEditable(entry.Topic); err != nil {
			return nil, nil, err
		}
		place, err := parseJournalPosition(entry.Position)
		if err != nil {
			return nil, nil, err
		}
		r := byTopic[entry.Topic]
		if r == nil {
			r = &topicRevert{topic: entry.Topic}
			byTopic[entry.Topic] = r
			reverts = append(reverts, r)
		}
		r.entries, r.positions = append(r.entries, entry), append(r.positions, place)
	}
	if len(reverts) == 0 {
		return nil, nil, nil
	}
	now, err := s.minute(ctx)
	if err != nil {
		return nil, nil, err
	}
	today := now / minutesADay
	for some := range slices.Chunk(reverts, writeChunk) {
		if err := s.inspect(ctx, some, today+1); err != nil {
			return reverted, changes, err
		}
		if mode == tally.RevertPreview {
			for _, r := range some {
				for i, entry := range r.entries {
					if r.selected[i] {
						reverted = append(reverted, entry)
					}
				}
			}
			continue
		}
		done, published, err := s.revert(ctx, some, today, mode)
		reverted, changes = append(reverted, done...), append(changes, published...)
		if err != nil {
			return reverted, changes, err
		}
	}
	return reverted, changes, nil
}

// inspect reads the journals of reverts, each of another topic, up to the day last, and selects
// the entries to revert.
func (s *Store) inspect(ctx context.Context, reverts []*topicRevert, last int64) error {
	byTopic := make(map[tally.Topic]*topicRevert, len(reverts))
	var journals []dayJournal
	for _, r := range reverts {
		r.begin()
		byTopic[r.topic] = r
		journals = append(journals, dayJournals(r.topic, r.first, last)...)
	}
	err := s.readJournals(ctx, journals, func(j dayJournal, offset int64, packed []byte) error {
		byTopic[j.topic].read(j.day, offset, packed)
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range reverts {
		r.selectEntries(s.catalog.Rule(r.topic).Kind == tally.Window)
	}
	return nil
}

// begin prepares r for its journals.
func (r *topicRevert) begin() {
	r.present, r.selected = make([]bool, len(r.entries)), make([]bool, len(r.entries))
	r.lengths = map[int64]int64{}
	r.wanted = make(map[journalPosition]int, len(r.entries))
	r.newest = make(map[tally.Member]journalPosition, len(r.entries))
	r.first = r.positions[0].day
	for i, p := range r.positions {
		r.wanted[p] = i
		r.newest[r.entries[i].Member] = journalPosition{}
		r.first = min(r.first, p.day)
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

// revert withdraws the selected entries, some hundred of a topic and day with each script
// call, and erases those that are superseded.
func (s *Store) revert(ctx context.Context, reverts []*topicRevert, today int64, mode tally.RevertMode) (reverted []tally.JournalEntry, changes []tally.Change, failed error) {
	type portion struct { // of one script call
		*topicRevert
		day     int64
		entries []tally.JournalEntry // of the day
		places  []uint32
	}
	var portions []*portion
	for _, r := range reverts {
		open := map[int64]*portion{} // by day, the portion that has room
		var superseded []tally.JournalEntry
		for i, entry := range r.entries {
			if !r.selected[i] {
				if r.present[i] {
					superseded = append(superseded, entry)
				}
				continue
			}
			day := r.positions[i].day
			p := open[day]
			if p == nil || len(p.entries) == tally.MaxBatchWrites {
				p = &portion{topicRevert: r, day: day}
				open[day] = p
				portions = append(portions, p)
			}
			p.entries, p.places = append(p.entries, entry), append(p.places, uint32(r.positions[i].offset))
		}
		if err := s.eraseEntries(ctx, r.topic, superseded); err != nil {
			return nil, nil, err
		}
	}
	inTurns(portions, func(p *portion) tally.Topic { return p.topic }, func(turn []*portion) {
		if failed != nil {
			return
		}
		calls := make([]redistopology.Call, len(turn))
		for i, p := range turn {
			journal := &revertedJournal{key: s.names.journal(p.topic) + strconv.FormatInt(p.day, 10), offsets: p.places}
			if s.catalog.Rule(p.topic).Kind != tally.Window {
				// Journals of earlier days do not grow; see [redistopology.NewDayCall] for
				// tomorrow's.
				for day := max(p.first, today-1); day <= today+1; day++ {
					journal.later = append(journal.later, s.names.dayJournal(p.topic, day))
					journal.lengths = append(journal.lengths, p.lengths[day])
				}
			}
			calls[i] = s.withdrawCall(p.topic, p.entries, 0, journal, mode)
			calls[i].Durable = true
		}
		err := s.callAll(ctx, calls)
		for i, p := range turn {
			reply, err := s.parseEdit("revert contributions to", p.topic, &calls[i], err)
			if err != nil {
				failed = cmp.Or(failed, err)
				continue
			}
			reverted = append(reverted, p.entries...)
			if reply.changed {
				changes = append(changes, reply.after.Change)
			}
		}
	})
	return reverted, changes, failed
}
