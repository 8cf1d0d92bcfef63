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

// Journal implements [tally.Ledger]. It goes over all keys of every primary for the
// journals in scope, as Dump does, and holds their names, some 100 bytes each.
func (s *Store) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if scope.Exact {
		return s.journalExact(ctx, scope, from, to, each)
	}
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	// A day's journal ends as a whole, with its last.
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
			// A day's journal has minutes of its neighbours: see call.day.
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

// journalExact hands over the traces of one topic, whose journals may be of any day.
func (s *Store) journalExact(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	topic, err := s.exact(scope)
	if err != nil {
		return err
	}
	today := time.Now().Unix() / 60 / minutesADay
	first := max(from/minutesADay, today-int64(MaxJournal/redistopology.Day)) - 1
	last := min(to/minutesADay, today+1) + 1 // our clock may be behind
	for day := first; day <= last; day++ {
		if err := s.readJournalDay(ctx, topic, day, from, to, each); err != nil {
			return err
		}
	}
	return nil
}

// minute returns what minute it is in the clock of Redis.
func (s *Store) minute(ctx context.Context) (int64, error) {
	clock := redis.NewTimeCmd(ctx, "time")
	if err := s.ask(ctx, s.names.settings(), clock); err != nil {
		return 0, tally.Unavailable(fmt.Errorf("look at Redis's clock: %w", err))
	}
	return clock.Val().Unix() / 60, nil
}

// readJournalDay hands over the traces of a topic's journal of one day.
func (s *Store) readJournalDay(ctx context.Context, topic tally.Topic, day, from, to int64, each func([]tally.JournalEntry) error) error {
	number := strconv.FormatInt(day, 10)
	return s.readJournal(ctx, topic, day, 0, func(place int64, packed []byte) error {
		traces := make([]tally.JournalEntry, 0, len(packed)/journalEntryBytes)
		for at := 0; at+journalEntryBytes <= len(packed); at += journalEntryBytes {
			trace := unpackEntry(topic, packed[at:])
			trace.Position = number + ":" + strconv.FormatInt(place+int64(at), 10)
			if trace.Minute >= max(from, 1) && trace.Minute <= to { // 0 was taken back
				traces = append(traces, trace)
			}
		}
		if len(traces) == 0 {
			return nil
		}
		return each(traces)
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

// readJournal hands over a topic's journal of one day from a place on, in portions.
func (s *Store) readJournal(ctx context.Context, topic tally.Topic, day, place int64, each func(place int64, packed []byte) error) error {
	const portion = tally.MaxPortion * journalEntryBytes
	key := s.names.journal(topic) + strconv.FormatInt(day, 10)
	for ; ; place += portion {
		part := redis.NewStringCmd(ctx, "getrange", key, place, place+portion-1)
		if err := s.ask(ctx, s.names.count(topic), part); err != nil {
			return tally.Unavailable(fmt.Errorf("read the journal of %s: %w", topic, err))
		}
		packed := []byte(part.Val())
		if len(packed) > 0 {
			if err := each(place, packed); err != nil {
				return err
			}
		}
		if len(packed) < portion {
			return nil
		}
	}
}

// eraseMembers removes from a topic's journal the traces of members that were withdrawn: one
// that stayed could take back another time what a window counted.
func (s *Store) eraseMembers(ctx context.Context, topic tally.Topic, members []tally.Member) error {
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	gone := map[tally.Member]bool{}
	for _, member := range members {
		gone[member] = true
	}
	tomorrow := now/minutesADay + 1
	days, err := s.journalDays(ctx, topic, tomorrow-int64(maxJournals)+1, tomorrow)
	if err != nil {
		return err
	}
	for _, d := range days {
		err := s.readJournalDay(ctx, topic, d, 0, math.MaxInt64, func(traces []tally.JournalEntry) error {
			return s.eraseEntries(ctx, topic, slices.DeleteFunc(traces, func(t tally.JournalEntry) bool { return !gone[t.Member] }))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseEntries removes those of traces that are in the topic's journals still.
func (s *Store) eraseEntries(ctx context.Context, topic tally.Topic, traces []tally.JournalEntry) error {
	byDay := map[int64][]byte{}
	for _, t := range traces {
		place, err := parseJournalPlace(t.Position)
		if err != nil {
			return err
		}
		packed := binary.BigEndian.AppendUint32(byDay[place.day], uint32(place.byte))
		packed = binary.BigEndian.AppendUint64(packed, uint64(t.Member))
		packed = binary.BigEndian.AppendUint32(packed, uint32(t.Source))
		byDay[place.day] = binary.BigEndian.AppendUint32(packed, uint32(t.Minute))
	}
	const size = 4 + journalEntryBytes
	for day, packed := range byDay {
		for some := range slices.Chunk(packed, size*tally.MaxPortion) {
			c := redistopology.NewCall(eraseScript, s.names.journal(topic)+strconv.FormatInt(day, 10))
			c.Append(some)
			if _, err := s.callOnce(ctx, c); err != nil {
				return tally.Unavailable(fmt.Errorf("forget traces of %s: %w", topic, err))
			}
		}
	}
	return nil
}

// journalDays returns the days from first to last of which the topic has a journal.
func (s *Store) journalDays(ctx context.Context, topic tally.Topic, first, last int64) (days []int64, err error) {
	commands := make([]redis.Cmder, 0, max(last-first+1, 0))
	for d := first; d <= last; d++ {
		commands = append(commands, redis.NewStringCmd(ctx, "getrange", s.names.journal(topic)+strconv.FormatInt(d, 10), 0, 0))
	}
	if err := s.ask(ctx, s.names.count(topic), commands...); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("look for the journals of %s: %w", topic, err))
	}
	for i, command := range commands {
		if command.(*redis.StringCmd).Val() != "" {
			days = append(days, first+int64(i))
		}
	}
	return days, nil
}

// appendPlace packs the place of a trace, see part/traces.lua.
func appendPlace(packed []byte, place uint32, minute int64) []byte {
	packed = binary.BigEndian.AppendUint32(packed, place)
	return binary.BigEndian.AppendUint32(packed, uint32(minute))
}
