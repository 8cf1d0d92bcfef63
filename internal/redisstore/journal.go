package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// journalChunk is how many journals one pipeline reads the first portion of: up to 4 MB.
const journalChunk = 256

// dayJournal is the journal of a topic of one day.
type dayJournal struct {
	topic tally.Topic
	day   int64 // since the Unix epoch
}

// dayJournals returns the journals that a topic may have of the days from first to last.
func dayJournals(topic tally.Topic, first, last int64) (journals []dayJournal) {
	for day := first; day <= last; day++ {
		journals = append(journals, dayJournal{topic, day})
	}
	return journals
}

// Journal implements [tally.Ledger]. Unless the scope is one topic, it scans the keys of all
// primaries for journals, as Dump does, and keeps their names, some 100 bytes each.
func (s *Store) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	now, err := s.minute(ctx)
	if err != nil {
		return err
	}
	from = s.firstMinute(from, now)
	// The journal of a day may have minutes of adjacent days: see the package comment.
	first := from/minutesADay - 1
	last := min(to, now)/minutesADay + 1
	if scope.Exact {
		topic, err := s.exact(scope)
		if err != nil {
			return err
		}
		return s.newJournalReader().readEntries(ctx, dayJournals(topic, first, last), from, to, each)
	}
	var journals []dayJournal
	err = s.scan(ctx, s.names.journalPattern(scope), func(keys []string) error {
		for _, key := range keys {
			text, day, ok := s.names.journalTopic(key)
			if !ok || day < first || day > last {
				continue
			}
			if topic, err := s.catalog.Resolve(text); err == nil && scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
				journals = append(journals, dayJournal{topic, day})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(journals, func(a, b dayJournal) int {
		return cmp.Or(a.topic.Compare(b.topic), cmp.Compare(a.day, b.day))
	})
	return s.newJournalReader().readEntries(ctx, slices.Compact(journals), from, to, each)
}

// firstMinute returns from, or the first minute of the retention if that is later: the journal of
// a day expires as a whole, after its last entry.
func (s *Store) firstMinute(from, now int64) int64 {
	return max(from, now-int64(cmp.Or(s.options.Journal, MaxJournal)/time.Minute))
}

// minute returns the current minute of Redis's clock.
func (s *Store) minute(ctx context.Context) (int64, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, tally.Unavailable(fmt.Errorf("read Redis's clock: %w", err))
	}
	return now.Unix() / 60, nil
}

// readEntries passes the entries of journals to each, fewer than twice [tally.MaxPortion] at once.
func (r *journalReader) readEntries(ctx context.Context, journals []dayJournal, from, to int64, each func([]tally.JournalEntry) error) error {
	pass := func() error {
		if len(r.entries) == 0 {
			return nil
		}
		err := each(r.entries)
		r.entries = r.entries[:0]
		return err
	}
	err := r.read(ctx, journals, func(j dayJournal, offset int64, packed []byte) error {
		for at := 0; at+journalEntryBytes <= len(packed); at += journalEntryBytes {
			entry := unpackEntry(j.topic, packed[at:])
			if entry.Minute >= max(from, 1) && entry.Minute <= to { // 0 is an erased entry
				entry.Position = r.position(journalPosition{j.day, offset + int64(at)})
				r.entries = append(r.entries, entry)
			}
		}
		if len(r.entries) < tally.MaxPortion {
			return nil
		}
		return pass()
	})
	if err != nil {
		return err
	}
	return pass()
}

// String returns the text that [parseJournalPosition] parses.
func (p journalPosition) String() string {
	var text [2*20 + 1]byte // two numbers
	day := strconv.AppendInt(text[:0], p.day, 10)
	return string(strconv.AppendInt(append(day, ':'), p.offset, 10))
}

// appendEntry appends an entry as journals have it.
func appendEntry(packed []byte, e *tally.JournalEntry) []byte {
	packed = binary.BigEndian.AppendUint64(packed, uint64(e.Member))
	packed = binary.BigEndian.AppendUint32(packed, uint32(e.Source))
	return binary.BigEndian.AppendUint32(packed, uint32(e.Minute))
}

func unpackEntry(topic tally.Topic, packed []byte) tally.JournalEntry {
	return tally.JournalEntry{
		Topic:  topic,
		Member: tally.Member(binary.BigEndian.Uint64(packed)),
		Source: tally.Source(binary.BigEndian.Uint32(packed[8:])),
		Minute: int64(binary.BigEndian.Uint32(packed[12:])),
	}
}

// readJournals passes packed journals to each, in portions and in order.
func (s *Store) readJournals(ctx context.Context, journals []dayJournal, each func(j dayJournal, offset int64, packed []byte) error) error {
	return s.newJournalReader().read(ctx, journals, each)
}

// journalReader reads journals. It uses its memory for one pipeline after the other, since a search
// reads very many journals. It is not safe for concurrent use.
type journalReader struct {
	*Store
	reads    []*journalRead       // of a pipeline
	commands []redis.Cmder        // of reads
	entries  []tally.JournalEntry // to be passed to the caller

	positions map[journalPosition]string // texts of the first maxPositions, which many topics have
}

const maxPositions = 1000

// journalRead is a command that reads the first portion of a journal.
type journalRead struct {
	*redis.StringCmd
	key string
}

// journalPortion is how many bytes of a journal one command reads at most.
const journalPortion = tally.MaxPortion * journalEntryBytes

// lastOfPortion is the offset of the last byte of the first portion.
var lastOfPortion = strconv.Itoa(journalPortion - 1)

func (s *Store) newJournalReader() *journalReader {
	return &journalReader{Store: s, positions: map[journalPosition]string{}}
}

func (r *journalReader) position(p journalPosition) string {
	text, ok := r.positions[p]
	if !ok {
		if text = p.String(); len(r.positions) < maxPositions {
			r.positions[p] = text
		}
	}
	return text
}

// read passes packed journals to each, in portions and in order. It reads the first portions of
// journalChunk journals in one pipeline: few journals have more.
func (r *journalReader) read(ctx context.Context, journals []dayJournal, each func(j dayJournal, offset int64, packed []byte) error) error {
	for chunk := range slices.Chunk(journals, journalChunk) {
		began := time.Now()
		r.setKeys(chunk)
		pipe := r.client.Pipeline()
		_ = pipe.BatchProcess(ctx, r.commands[:len(chunk)]...) // queued
		_, _ = pipe.Exec(ctx)                                  // each command has its own error
		if err := r.giveWay(ctx, began); err != nil {
			return err
		}
		for i, j := range chunk {
			for part, offset := r.reads[i].StringCmd, int64(0); ; {
				packed, err := part.Bytes()
				if err != nil {
					return tally.Unavailable(fmt.Errorf("read the journal of %s: %w", j.topic, err))
				}
				if len(packed) > 0 {
					if err := each(j, offset, packed); err != nil {
						return err
					}
				}
				if len(packed) < journalPortion {
					break
				}
				offset += journalPortion
				part = r.client.GetRange(ctx, r.reads[i].key, offset, offset+journalPortion-1)
			}
		}
	}
	return nil
}

// setKeys sets the keys of the first reads, in one allocation.
func (r *journalReader) setKeys(journals []dayJournal) {
	for len(r.reads) < len(journals) {
		read := &journalRead{}
		read.StringCmd = redis.NewStringCmd(context.Background(), "getrange", &read.key, "0", &lastOfPortion)
		r.reads, r.commands = append(r.reads, read), append(r.commands, read.StringCmd)
	}
	const digits = 5 // of a day
	size, all := 0, strings.Builder{}
	for _, j := range journals {
		size += len(r.names.prefix) + len("{}") + len(j.topic.String()) + len(journalKind) + digits
	}
	all.Grow(size)
	for i, j := range journals {
		begin := all.Len()
		r.names.writeTagged(&all, j.topic, journalKind)
		var day [20]byte // any number
		all.Write(strconv.AppendInt(day[:0], j.day, 10))
		r.reads[i].key = all.String()[begin:]
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
	journals := dayJournals(topic, tomorrow-int64(maxJournals)+1, tomorrow)
	return s.newJournalReader().readEntries(ctx, journals, 0, math.MaxInt64, func(entries []tally.JournalEntry) error {
		return s.eraseEntries(ctx, topic, slices.DeleteFunc(entries, func(e tally.JournalEntry) bool { return !withdrawn[e.Member] }))
	})
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
		byDay[position.day] = appendEntry(packed, &e)
	}
	const size = 4 + journalEntryBytes
	for day, packed := range byDay {
		for chunk := range slices.Chunk(packed, size*tally.MaxPortion) {
			c := redistopology.NewCall(eraseScript, s.names.dayJournal(topic, day))
			c.Durable = true
			c.Append(chunk)
			if c = s.call(ctx, c); c.Err != nil {
				return tally.Unavailable(fmt.Errorf("erase journal entries of %s: %w", topic, c.Err))
			}
		}
	}
	return nil
}
