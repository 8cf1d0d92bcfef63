package redisstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Journal implements [tally.Ledger]. It scans the keys of all primaries for the journals in
// scope, as Dump does, and keeps their names, some 100 bytes each.
func (s *Store) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if scope.Exact {
		return s.journalExact(ctx, scope, from, to, each)
	}
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	// A day's journal expires as a whole, after its last entry.
	if s.options.Journal > 0 {
		from = max(from, now-int64(s.options.Journal/time.Minute))
	}
	days := map[tally.Topic][]int64{}
	err = s.scan(ctx, s.names.journalPattern(scope), func(keys []string) error {
		for _, key := range keys {
			text, day, ok := s.names.journalTopic(key)
			if !ok {
				continue
			}
			// The journal of a day may have minutes of adjacent days: see the package comment.
			if topic, err := s.catalog.Resolve(text); err == nil && scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil &&
				day >= from/minutesADay-1 && day <= to/minutesADay+1 {
				days[topic] = append(days[topic], day)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	topics := slices.SortedFunc(maps.Keys(days), func(a, b tally.Topic) int { return strings.Compare(a.String(), b.String()) })
	for _, topic := range topics {
		for _, day := range slices.Compact(slices.Sorted(slices.Values(days[topic]))) {
			if err := s.readJournalDay(ctx, topic, day, from, to, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// journalExact reads the journals of one topic, of all days that it may have.
func (s *Store) journalExact(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	topic, err := s.exact(scope)
	if err != nil {
		return err
	}
	today := time.Now().Unix() / 60 / minutesADay
	first := max(from/minutesADay, today-int64(MaxJournal/redistopology.Day)) - 1
	last := min(to/minutesADay, today+1) + 1 // this machine's clock may be behind
	days, err := s.journalDays(ctx, topic, first, last)
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := s.readJournalDay(ctx, topic, day, from, to, each); err != nil {
			return err
		}
	}
	return nil
}

// minute returns the current minute of Redis's clock.
func (s *Store) minute(ctx context.Context) (int64, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, tally.Unavailable(fmt.Errorf("read Redis's clock: %w", err))
	}
	return now.Unix() / 60, nil
}

// readJournalDay passes the entries of a topic's journal of one day to each.
func (s *Store) readJournalDay(ctx context.Context, topic tally.Topic, day, from, to int64, each func([]tally.JournalEntry) error) error {
	number := strconv.FormatInt(day, 10)
	return s.readJournal(ctx, topic, day, func(offset int64, packed []byte) error {
		entries := make([]tally.JournalEntry, 0, len(packed)/journalEntryBytes)
		for at := 0; at+journalEntryBytes <= len(packed); at += journalEntryBytes {
			entry := unpackEntry(topic, packed[at:])
			entry.Position = number + ":" + strconv.FormatInt(offset+int64(at), 10)
			if entry.Minute >= max(from, 1) && entry.Minute <= to { // 0 is an erased entry
				entries = append(entries, entry)
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return each(entries)
	})
}

func unpackEntry(topic tally.Topic, packed []byte) tally.JournalEntry {
	return tally.JournalEntry{
		Topic:  topic,
		Member: tally.Member(binary.BigEndian.Uint64(packed)),
		Source: tally.Source(binary.BigEndian.Uint32(packed[8:])),
		Minute: int64(binary.BigEndian.Uint32(packed[12:])),
	}
}

// readJournal passes a topic's packed journal of one day to each, in portions.
func (s *Store) readJournal(ctx context.Context, topic tally.Topic, day int64, each func(offset int64, packed []byte) error) error {
	const portion = tally.MaxPortion * journalEntryBytes
	key := s.names.journal(topic) + strconv.FormatInt(day, 10)
	for offset := int64(0); ; offset += portion {
		packed, err := s.client.GetRange(ctx, key, offset, offset+portion-1).Bytes()
		if err != nil {
			return tally.Unavailable(fmt.Errorf("read the journal of %s: %w", topic, err))
		}
		if len(packed) > 0 {
			if err := each(offset, packed); err != nil {
				return err
			}
		}
		if len(packed) < portion {
			return nil
		}
	}
}

// eraseMembers erases the journal entries of withdrawn members: otherwise a revert could
// withdraw again what a window counted.
func (s *Store) eraseMembers(ctx context.Context, topic tally.Topic, members []tally.Member) error {
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	withdrawn := map[tally.Member]bool{}
	for _, member := range members {
		withdrawn[member] = true
	}
	tomorrow := now/minutesADay + 1
	days, err := s.journalDays(ctx, topic, tomorrow-int64(maxJournals)+1, tomorrow)
	if err != nil {
		return err
	}
	for _, d := range days {
		err := s.readJournalDay(ctx, topic, d, 0, math.MaxInt64, func(entries []tally.JournalEntry) error {
			return s.eraseEntries(ctx, topic, slices.DeleteFunc(entries, func(e tally.JournalEntry) bool { return !withdrawn[e.Member] }))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseEntries erases those of the entries that are still in the topic's journals.
func (s *Store) eraseEntries(ctx context.Context, topic tally.Topic, entries []tally.JournalEntry) error {
	byDay := map[int64][]byte{}
	for _, e := range entries {
		position, err := parseJournalPosition(e.Position)
		if err != nil {
			return err
		}
		packed := binary.BigEndian.AppendUint32(byDay[position.day], uint32(position.offset))
		packed = binary.BigEndian.AppendUint64(packed, uint64(e.Member))
		packed = binary.BigEndian.AppendUint32(packed, uint32(e.Source))
		byDay[position.day] = binary.BigEndian.AppendUint32(packed, uint32(e.Minute))
	}
	const size = 4 + journalEntryBytes
	for day, packed := range byDay {
		for some := range slices.Chunk(packed, size*tally.MaxPortion) {
			c := redistopology.NewCall(eraseScript, s.names.journal(topic)+strconv.FormatInt(day, 10))
			c.Append(some)
			if _, err := s.callOnce(ctx, c); err != nil {
				return tally.Unavailable(fmt.Errorf("erase journal entries of %s: %w", topic, err))
			}
		}
	}
	return nil
}

// journalDays returns the days from first to last that the topic has a journal of.
func (s *Store) journalDays(ctx context.Context, topic tally.Topic, first, last int64) (days []int64, err error) {
	pipe := s.client.Pipeline()
	for d := first; d <= last; d++ {
		pipe.GetRange(ctx, s.names.journal(topic)+strconv.FormatInt(d, 10), 0, 0)
	}
	commands, err := pipe.Exec(ctx)
	if err != nil {
		return nil, tally.Unavailable(fmt.Errorf("find the journals of %s: %w", topic, err))
	}
	for i, command := range commands {
		if command.(*redis.StringCmd).Val() != "" {
			days = append(days, first+int64(i))
		}
	}
	return days, nil
}

// appendPosition appends the packed position of an entry, see script/withdraw.lua.
func appendPosition(packed []byte, offset uint32, minute int64) []byte {
	packed = binary.BigEndian.AppendUint32(packed, offset)
	return binary.BigEndian.AppendUint32(packed, uint32(minute))
}
