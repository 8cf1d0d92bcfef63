package redisstore

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// journalPlace is where an entry is in the journals of a topic. Journals of a later day
// are newer, and so are later bytes of one.
type journalPlace struct {
	day  int64
	byte int64
}

func parseJournalPlace(text string) (p journalPlace, err error) {
	day, offset, _ := strings.Cut(text, ":")
	d, err1 := strconv.ParseUint(day, 10, 32)
	b, err2 := strconv.ParseUint(offset, 10, 32)
	if err1 != nil || err2 != nil {
		return p, tally.Errorf(tally.CodeBadBody, "%q is no place of a journal entry", text)
	}
	return journalPlace{int64(d), int64(b)}, nil
}

// topicRevert is the part of a revert that concerns one topic.
type topicRevert struct {
	topic   tally.Topic
	entries []tally.JournalEntry
	places  []journalPlace

	// Set by examine: of each trace, and of each day how much of its journal was read.
	present, selected []bool
	first             int64 // the first day that was read
	lengths           map[int64]int64
}

// revertedJournal is the journal that a script reverts entries of.
type revertedJournal struct {
	key    string
	places []uint32 // of the entries
	// The journals that may have entries which were not read, and how much of each was.
	later   []string
	lengths []int64
}

// Revert implements [tally.Ledger]. It reads the journals of each topic from the first
// of its traces on to find the newest entry of each member. The scripts then look whether
// an entry is still there, and whether its member has one that came since.
func (s *Store) Revert(ctx context.Context, traces []tally.JournalEntry, preview bool) (reverted []tally.JournalEntry, changes []tally.Change, err error) {
	var reverts []*topicRevert
	byTopic := map[tally.Topic]*topicRevert{}
	for _, trace := range traces {
		if err := s.catalog.CheckEditable(trace.Topic); err != nil {
			return nil, nil, err
		}
		place, err := parseJournalPlace(trace.Position)
		if err != nil {
			return nil, nil, err
		}
		r := byTopic[trace.Topic]
		if r == nil {
			r = &topicRevert{topic: trace.Topic}
			byTopic[trace.Topic] = r
			reverts = append(reverts, r)
		}
		r.entries, r.places = append(r.entries, trace), append(r.places, place)
	}
	if len(reverts) == 0 {
		return nil, nil, nil
	}
	now, err := s.minute(ctx)
	if err != nil {
		return nil, nil, err
	}
	today := now / minutesADay
	for some := range slices.Chunk(reverts, dumpTopics) {
		for _, r := range some {
			if err := s.inspect(ctx, r, today+1); err != nil {
				return reverted, changes, err
			}
		}
		if preview {
			for _, r := range some {
				reverted = append(reverted, r.entriesOf(r.selected)...)
			}
			continue
		}
		done, published, err := s.revert(ctx, some, today)
		reverted, changes = append(reverted, done...), append(changes, published...)
		if err != nil {
			return reverted, changes, err
		}
	}
	return reverted, changes, nil
}

func (r *topicRevert) entriesOf(which []bool) (some []tally.JournalEntry) {
	for i, t := range r.entries {
		if which[i] {
			some = append(some, t)
		}
	}
	return some
}

// inspect reads the journals until the day last.
func (s *Store) inspect(ctx context.Context, r *topicRevert, last int64) error {
	r.present, r.selected = make([]bool, len(r.entries)), make([]bool, len(r.entries))
	r.lengths = map[int64]int64{}
	wanted := make(map[journalPlace]int, len(r.entries))
	newest := make(map[tally.Member]journalPlace, len(r.entries))
	r.first = r.places[0].day
	for i, p := range r.places {
		wanted[p] = i
		newest[r.entries[i].Member] = journalPlace{}
		r.first = min(r.first, p.day)
	}
	days, err := s.journalDays(ctx, r.topic, r.first, last)
	if err != nil {
		return err
	}
	for _, day := range days {
		err := s.readJournal(ctx, r.topic, day, 0, func(place int64, packed []byte) error {
			for at := 0; at+journalEntryBytes <= len(packed); at += journalEntryBytes {
				member := tally.Member(binary.BigEndian.Uint64(packed[at:]))
				if _, ok := newest[member]; !ok {
					continue
				}
				p := journalPlace{day, place + int64(at)}
				newest[member] = p
				if i, ok := wanted[p]; ok {
					found := unpackEntry(r.topic, packed[at:])
					found.Position = r.entries[i].Position
					r.present[i] = found == r.entries[i]
				}
			}
			r.lengths[day] = place + int64(len(packed))
			return nil
		})
		if err != nil {
			return err
		}
	}
	windowed := s.catalog.Rule(r.topic).Kind == tally.Window
	for i, p := range r.places {
		r.selected[i] = r.present[i] && wanted[p] == i && (windowed || newest[r.entries[i].Member] == p)
	}
	return nil
}

// revert carries out what was examined, in scripts of some hundred entries of a topic and
// a day.
func (s *Store) revert(ctx context.Context, reverts []*topicRevert, today int64) (reverted []tally.JournalEntry, changes []tally.Change, failed error) {
	type portion struct {
		*topicRevert
		day    int64
		traces []tally.JournalEntry
		places []uint32
	}
	var portions []*portion
	for _, r := range reverts {
		open := map[int64]*portion{} // the portion of a day that has room still
		var superseded []tally.JournalEntry
		for i, t := range r.entries {
			if !r.selected[i] {
				if r.present[i] {
					superseded = append(superseded, t)
				}
				continue
			}
			day := r.places[i].day
			p := open[day]
			if p == nil || len(p.traces) == tally.MaxBatchWrites {
				p = &portion{topicRevert: r, day: day}
				open[day] = p
				portions = append(portions, p)
			}
			p.traces, p.places = append(p.traces, t), append(p.places, uint32(r.places[i].byte))
		}
		if err := s.eraseEntries(ctx, r.topic, superseded); err != nil {
			return nil, nil, err
		}
	}
	todo := make([]int, len(portions))
	for i := range todo {
		todo[i] = i
	}
	s.inTurn(todo, func(i int) tally.Topic { return portions[i].topic }, func(turn []int) {
		if failed != nil {
			return
		}
		calls := make([]redistopology.Call, len(turn))
		for j, i := range turn {
			p := portions[i]
			journal := &revertedJournal{key: s.names.journal(p.topic) + strconv.FormatInt(p.day, 10), places: p.places}
			if s.catalog.Rule(p.topic).Kind != tally.Window {
				// Nobody adds to a journal whose day has ended; see call.day for tomorrow's.
				for day := max(p.first, today-1); day <= today+1; day++ {
					journal.later = append(journal.later, s.names.journal(p.topic)+strconv.FormatInt(day, 10))
					journal.lengths = append(journal.lengths, p.lengths[day])
				}
			}
			calls[j] = s.withdrawCall(p.topic, p.traces, 0, journal)
			calls[j].Durable = true
		}
		err := s.callAll(ctx, calls)
		for j, i := range turn {
			e, err := s.parseEdit("revert contributions to", portions[i].topic, &calls[j], err)
			switch {
			case err != nil && failed == nil:
				failed = err
			case err == nil:
				reverted = append(reverted, portions[i].traces...)
				if e.changed {
					changes = append(changes, e.published)
				}
			}
		}
	})
	return reverted, changes, failed
}
