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

	"github.com/tallycast/tallycast/internal/tally"
)

// Journal implements [tally.Ledger]. It goes over all keys of every primary for the
// journals in scope, as Dump does, and holds their names, some 100 bytes each.
func (s *Store) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.Trace) error) error {
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
			if topic, err := s.catalog.Resolve(text); err == nil && scope.Holds(topic) && s.editable(topic) == nil &&
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
			if err := s.journalOf(ctx, topic, day, from, to, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// journalExact hands over the traces of one topic, whose journals may be of any day.
func (s *Store) journalExact(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.Trace) error) error {
	topic, err := s.exact(scope)
	if err != nil {
		return err
	}
	today := time.Now().Unix() / 60 / minutesADay
	first := max(from/minutesADay, today-int64(MaxJournal/day)) - 1
	last := min(to/minutesADay, today+1) + 1 // our clock may be behind
	for day := first; day <= last; day++ {
		if err := s.journalOf(ctx, topic, day, from, to, each); err != nil {
			return err
		}
	}
	return nil
}

// minute returns what minute it is in the clock of Redis.
func (s *Store) minute(ctx context.Context) (int64, error) {
	clock := redis.NewTimeCmd(ctx, "time")
	if err := s.ask(ctx, s.names.register(), clock); err != nil {
		return 0, tally.Unavailable(fmt.Errorf("look at Redis's clock: %w", err))
	}
	return clock.Val().Unix() / 60, nil
}

// journalOf hands over the traces of a topic's journal of one day.
func (s *Store) journalOf(ctx context.Context, topic tally.Topic, day, from, to int64, each func([]tally.Trace) error) error {
	const portion = tally.MaxPortion * traceBytes
	number := strconv.FormatInt(day, 10)
	for place := int64(0); ; place += portion {
		part := redis.NewStringCmd(ctx, "getrange", s.names.journal(topic)+number, place, place+portion-1)
		if err := s.ask(ctx, s.names.count(topic), part); err != nil {
			return tally.Unavailable(fmt.Errorf("read the journal of %s: %w", topic, err))
		}
		packed := []byte(part.Val())
		traces := make([]tally.Trace, 0, len(packed)/traceBytes)
		for at := 0; at+traceBytes <= len(packed); at += traceBytes {
			trace := tally.Trace{
				Topic:  topic,
				Member: tally.Member(binary.BigEndian.Uint64(packed[at:])),
				Source: tally.Source(binary.BigEndian.Uint32(packed[at+8:])),
				Minute: int64(binary.BigEndian.Uint32(packed[at+12:])),
				Place:  number + ":" + strconv.FormatInt(place+int64(at), 10),
			}
			if trace.Minute >= max(from, 1) && trace.Minute <= to { // 0 was taken back
				traces = append(traces, trace)
			}
		}
		if len(traces) > 0 {
			if err := each(traces); err != nil {
				return err
			}
		}
		if len(packed) < portion {
			return nil
		}
	}
}

// forget removes from a topic's journal the traces of members that were withdrawn: one
// that stayed could take back another time what a window counted.
func (s *Store) forget(ctx context.Context, topic tally.Topic, members []tally.Member) error {
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	gone := map[tally.Member]bool{}
	for _, member := range members {
		gone[member] = true
	}
	var days []int64
	var commands []redis.Cmder
	for d := now/minutesADay + 1; len(days) < journals; d-- {
		days = append(days, d)
		commands = append(commands, redis.NewStringCmd(ctx, "getrange", s.names.journal(topic)+strconv.FormatInt(d, 10), 0, 0))
	}
	if err := s.ask(ctx, s.names.count(topic), commands...); err != nil {
		return tally.Unavailable(fmt.Errorf("look for the journals of %s: %w", topic, err))
	}
	for i, d := range days {
		if commands[i].(*redis.StringCmd).Val() == "" {
			continue
		}
		err := s.journalOf(ctx, topic, d, 0, math.MaxInt64, func(traces []tally.Trace) error {
			var packed []byte
			for _, t := range traces {
				if gone[t.Member] {
					_, text, _ := strings.Cut(t.Place, ":")
					place, _ := strconv.ParseUint(text, 10, 32) // written by journalOf
					packed = binary.BigEndian.AppendUint32(packed, uint32(place))
					packed = binary.BigEndian.AppendUint64(packed, uint64(t.Member))
					packed = binary.BigEndian.AppendUint32(packed, uint32(t.Source))
					packed = binary.BigEndian.AppendUint32(packed, uint32(t.Minute))
				}
			}
			if packed == nil {
				return nil
			}
			c := newCall(forgetScript, true, s.names.journal(topic)+strconv.FormatInt(d, 10))
			c.args = append(c.args, packed)
			if _, err := s.carryOut(ctx, c); err != nil {
				return tally.Unavailable(fmt.Errorf("forget traces of %s: %w", topic, err))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TakeBack implements [tally.Ledger]. The traces of a topic and a day are taken back in
// scripts of some hundreds, each of which looks whether a trace is there still.
func (s *Store) TakeBack(ctx context.Context, traces []tally.Trace) ([]tally.Change, error) {
	type journal struct {
		topic tally.Topic
		day   string
	}
	type taking struct {
		journal
		traces []tally.Trace
		places []uint32
	}
	var takings []taking
	open := map[journal]int{} // the taking that has room still
	for _, trace := range traces {
		if err := s.editable(trace.Topic); err != nil {
			return nil, err
		}
		day, text, _ := strings.Cut(trace.Place, ":")
		place, err := strconv.ParseUint(text, 10, 32)
		if _, err2 := strconv.ParseUint(day, 10, 32); err != nil || err2 != nil {
			return nil, tally.Errorf(tally.CodeBadBody, "%q is no place of a trace", trace.Place)
		}
		j := journal{trace.Topic, day}
		i, ok := open[j]
		if !ok || len(takings[i].traces) == tally.MaxBatchWrites {
			i = len(takings)
			takings = append(takings, taking{journal: j})
			open[j] = i
		}
		takings[i].traces = append(takings[i].traces, trace)
		takings[i].places = append(takings[i].places, uint32(place))
	}
	todo := make([]int, len(takings))
	for i := range todo {
		todo[i] = i
	}
	var changes []tally.Change
	var failed error
	s.inTurn(todo, func(i int) tally.Topic { return takings[i].topic }, func(turn []int) {
		for chunk := range slices.Chunk(turn, dumpTopics) {
			if failed != nil {
				return
			}
			calls := make([]call, len(chunk))
			for j, i := range chunk {
				t := &takings[i]
				calls[j] = s.takeCall(t.topic, s.names.journal(t.topic)+t.day, t.traces, t.places, 0)
				calls[j].durable = true
			}
			err := s.carryOutAll(ctx, calls)
			for j, i := range chunk {
				e, err := s.edited("take back from", takings[i].topic, &calls[j], err)
				switch {
				case err != nil && failed == nil:
					failed = err
				case err == nil && e.changed:
					changes = append(changes, e.published)
				}
			}
		}
	})
	return changes, failed
}

// appendPlace packs the place of a trace, see take.lua.
func appendPlace(packed []byte, place uint32, minute int64) []byte {
	packed = binary.BigEndian.AppendUint32(packed, place)
	return binary.BigEndian.AppendUint32(packed, uint32(minute))
}
