package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// noHistory is Store.historyRetention if no history is recorded.
const noHistory = "0"

// historyRead has the commands that read the history of one topic. They read the state before the
// records, since a change between the two adds this state to the records.
type historyRead struct {
	state   *redis.SliceCmd
	records *redis.MapStringStringCmd
	clock   *redis.TimeCmd // of the node that has the topic
	shares  *redis.MapStringStringCmd
}

// History implements [tally.HistoryReader].
func (from reader) History(ctx context.Context, period tally.Period, topics []tally.Topic) []tally.History {
	s := from.store
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	histories := make([]tally.History, 0, len(topics))
	for chunk := range slices.Chunk(topics, readChunk) {
		reads := make([]historyRead, len(chunk))
		pipe := from.client.Pipeline()
		for i, topic := range chunk {
			r := &reads[i]
			r.state = pipe.HMGet(ctx, s.names.count(topic), "n", "v", "s", "a", "p", "h", "g")
			if s.isPresence(topic) {
				r.shares = pipe.HGetAll(ctx, s.names.shares(topic))
			}
			key := s.names.days(topic)
			if period == tally.Hour {
				key = s.names.hours(topic)
			}
			r.records, r.clock = pipe.HGetAll(ctx, key), pipe.Time(ctx)
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for i, topic := range chunk {
			h, err := s.parseHistory(topic, period, &reads[i])
			if err != nil {
				h = tally.History{Err: tally.Unavailable(fmt.Errorf("read the history of %s: %w", topic, err))}
			}
			h.Topic, h.Period, h.Retention = topic, period, period.Retention(s.options.History)
			histories = append(histories, h)
		}
	}
	return histories
}

func (s *Store) parseHistory(topic tally.Topic, period tally.Period, read *historyRead) (h tally.History, err error) {
	texts, err := fieldTexts(read.state)
	if err = cmp.Or(err, read.records.Err(), read.clock.Err()); err != nil {
		return h, err
	}
	if h.State, err = parseState(s.catalog.Rule(topic), topic, texts[0], texts[1], texts[2], texts[3]); err != nil {
		return h, err
	}
	h.Now = read.clock.Val().UnixMicro()
	isRecorded := s.options.History > 0
	if read.shares != nil {
		h.Count = sumShares(read.shares.Val(), read.clock.Val().UnixMilli())
		err = read.shares.Err()
	} else {
		h.Prior = h.Sum()
		text, hasPrior := read.state.Val()[4].(string)
		if isRecorded = isRecorded && hasPrior; isRecorded {
			h.Prior, h.IsComplete, err = parsePrior(text)
		}
	}
	if isRecorded && err == nil {
		h.Records, err = parseRecords(read.records.Val(), h.Prior)
	}
	if isRecorded && err == nil && read.shares != nil && texts[5] != "0" && len(h.Records) == 0 {
		h.Records, err = parseFirstPeak(texts[5], texts[6], period)
	}
	return h, err
}

// parseFirstPeak returns the record of presence that is stored with the count, see
// script/part/peak.lua.
func parseFirstPeak(hour, greatest string, period tally.Period) ([]tally.Record, error) {
	begun, err1 := strconv.ParseInt(hour, 10, 64)
	sum, err2 := strconv.ParseInt(greatest, 10, 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w: %q, %q", errNotNumber, hour, greatest)
	}
	return []tally.Record{{Number: begun * int64(tally.Hour) / int64(period), Sum: sum}}, nil
}

// formatRecords formats records for script/part/merge_past.lua.
func formatRecords(records []tally.Record) []byte {
	var text []byte
	for _, r := range records {
		text = fmt.Appendf(text, "%d %d %d,", r.Number, r.Sum, r.Adjustment)
	}
	return text
}

// readPasts returns the histories of topics without their present states, and the prior
// contributions. A topic without history has nil.
func (s *Store) readPasts(ctx context.Context, topics []tally.Topic) (pasts []*tally.Past, priors []int64, err error) {
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	pipe := s.client.Pipeline()
	states := make([]*redis.StringCmd, len(topics))
	hours, days := make([]*redis.MapStringStringCmd, len(topics)), make([]*redis.MapStringStringCmd, len(topics))
	for i, topic := range topics {
		states[i] = pipe.HGet(ctx, s.names.count(topic), "p")
		hours[i], days[i] = pipe.HGetAll(ctx, s.names.hours(topic)), pipe.HGetAll(ctx, s.names.days(topic))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	pasts, priors = make([]*tally.Past, len(topics)), make([]int64, len(topics))
	for i := range topics {
		text, err := states[i].Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		p := &tally.Past{}
		if err = cmp.Or(err, hours[i].Err(), days[i].Err()); err == nil {
			priors[i], p.IsComplete, err = parsePrior(text)
		}
		if err == nil {
			p.Hours, err = parseRecords(hours[i].Val(), 0)
		}
		if err == nil {
			p.Days, err = parseRecords(days[i].Val(), 0)
		}
		if err != nil {
			return nil, nil, tally.Unavailable(fmt.Errorf("read the history of %s: %w", topics[i], err))
		}
		pasts[i] = p
	}
	return pasts, priors, nil
}

// parsePrior parses the number of prior contributions, see doc.go.
func parsePrior(text string) (prior int64, isComplete bool, err error) {
	digits, isIncomplete := strings.CutPrefix(text, "~")
	prior, err = strconv.ParseInt(digits, 10, 64)
	return prior, !isIncomplete, err
}

// parseRecords parses the records of a topic, see script/part/record.lua.
func parseRecords(texts map[string]string, prior int64) ([]tally.Record, error) {
	records := make([]tally.Record, 0, len(texts))
	for number, text := range texts {
		gained, adjustment, hasAdjustment := strings.Cut(text, " ")
		var r tally.Record
		var errs [3]error
		r.Number, errs[0] = strconv.ParseInt(number, 10, 64)
		r.Sum, errs[1] = strconv.ParseInt(gained, 10, 64)
		if hasAdjustment {
			r.Adjustment, errs[2] = strconv.ParseInt(adjustment, 10, 64)
		}
		if err := cmp.Or(errs[:]...); err != nil {
			return nil, fmt.Errorf("%w: %q at %q", errNotNumber, text, number)
		}
		r.Sum += prior
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b tally.Record) int { return cmp.Compare(a.Number, b.Number) })
	return records, nil
}
