package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxGainLag is how long after a full hour the gains of the hour before are shown.
	maxGainLag = 4 * time.Second
	// readRetention is how long gains follow the counts after a read, and readRenewal how often
	// an instance with readers renews that time.
	readRetention = time.Hour
	readRenewal   = 10 * time.Minute
)

// errReplicaBehind is why gains are read at the primary. The replica may also lack the mark that
// gains are read. An instance that set the mark again would cause all gains to be computed again.
var errReplicaBehind = errors.New("the replica does not have the present gains")

// topGains is the reply of script/topgains.lua.
type topGains struct {
	second   int64  // of Redis's clock
	computed string // hour for which all gains were computed
	isRead   bool   // the mark exists, so the gains are kept up to date
	keys     []string
	gains    []int64
}

// hour returns the present hour.
func (r *topGains) hour() string { return strconv.FormatInt(r.second/int64(tally.Hour), 10) }

// isComplete reports whether all gains are those of the present hour.
func (r *topGains) isComplete() bool {
	return r.computed == r.hour() || r.computed == "" && len(r.keys) == 0
}

// isRecent reports whether all gains are those of the hour before, which has just ended.
func (r *topGains) isRecent() bool {
	return r.computed == strconv.FormatInt(r.second/int64(tally.Hour)-1, 10) && r.second%int64(tally.Hour) < int64(maxGainLag/time.Second)
}

// isCurrent reports whether the gains may be shown: they are kept up to date, and are those of the
// present hour or of the one that has just ended.
func (r *topGains) isCurrent() bool { return r.isRead && (r.isComplete() || r.isRecent()) }

// readTopGains reads the topics of a metric with the highest gains.
func (s *Store) readTopGains(ctx context.Context, from reader, b siteMetric, since tally.Since, limit int) (r topGains, err error) {
	keys := s.names.gainKeys(b)
	c := redistopology.NewCall(topGainsScript, keys[0], keys[1+since], s.names.readMark(b))
	c.Append(limit)
	calls := []redistopology.Call{c}
	if err := s.checkUsable(); err != nil {
		return r, err
	}
	from.topology.Call(ctx, calls)
	replies, _ := calls[0].Reply.([]any)
	if calls[0].Err == nil && len(replies) < 3 {
		calls[0].Err = unexpectedReply(&calls[0])
	}
	if calls[0].Err == nil {
		r.computed, r.isRead = valueText(replies[1]), valueText(replies[2]) != ""
		r.second, calls[0].Err = strconv.ParseInt(valueText(replies[0]), 10, 64)
	}
	for i := 3; i+1 < len(replies) && calls[0].Err == nil; i += 2 {
		var gain int64
		gain, calls[0].Err = strconv.ParseInt(valueText(replies[i+1]), 10, 64)
		r.keys, r.gains = append(r.keys, valueText(replies[i])), append(r.gains, -gain)
	}
	if calls[0].Err != nil {
		err = tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, calls[0].Err))
	}
	return r, err
}

// TopGains implements [tally.GainRanker]. It reads the topics with the highest gains and then
// their current counts. The first change or read of a metric in an hour starts the computation of
// its gains, and the read waits for it. If the computation fails or takes long, the read returns
// the stored gains.
func (from reader) TopGains(ctx context.Context, site, metric string, since tally.Since, limit int) ([]tally.TopicGain, error) {
	s := from.store
	if err := since.CheckHistory(s.options.History); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	b := siteMetric{site, metric}
	r, err := s.readTopGains(ctx, from, b, since, limit+extraTopics)
	if err == nil && !r.isCurrent() {
		if from != s.reader {
			return nil, errReplicaBehind
		}
		r, err = s.awaitGains(ctx, b, since, limit+extraTopics, r)
	}
	if err != nil {
		return nil, err
	}
	if r.isRecent() {
		s.computations.request(b, false)
	}
	if s.computations.renew(b) {
		_ = s.client.PExpire(ctx, s.names.readMark(b), readRetention).Err() // after a failure it expires, and a reader sets it again
	}
	return s.readCounts(ctx, from, b, &r, limit)
}

// awaitGains waits until the gains of a metric are computed, and returns them. If that fails or
// takes long, it returns those that are stored.
func (s *Store) awaitGains(ctx context.Context, b siteMetric, since tally.Since, limit int, r topGains) (topGains, error) {
	timer := time.NewTimer(s.options.Intervals.GainsWait)
	defer timer.Stop()
	for !r.isCurrent() {
		if !r.isRead {
			if err := s.beginReading(ctx, b, r.second); err != nil {
				return r, err
			}
		}
		c := s.computations.request(b, !r.isRead)
		var failed error
		select {
		case <-c.ended:
			failed = c.err
		case <-timer.C:
			failed = context.DeadlineExceeded
		case <-ctx.Done():
			return r, tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, ctx.Err()))
		}
		var err error
		if r, err = s.readTopGains(ctx, s.reader, b, since, limit); err != nil {
			return r, err
		}
		switch {
		case failed == nil || r.isCurrent():
		case len(r.keys) == 0: // perhaps topics gained, so an empty list would be wrong
			return r, tally.Unavailable(fmt.Errorf("gains of %s/%s: %w", b.site, b.metric, failed))
		default:
			return r, nil
		}
	}
	return r, nil
}

// beginReading sets the mark that keeps the gains of a metric up to date. The caller then has all of
// them computed. If the hour ended since second, beginReading does nothing, and is called again.
func (s *Store) beginReading(ctx context.Context, b siteMetric, second int64) error {
	hour := second / int64(tally.Hour)
	_, err := s.setComputed(ctx, gainHour{b, strconv.FormatInt(hour, 10)}, strconv.FormatInt(hour-1, 10)+".5")
	switch {
	case errors.Is(err, errHourEnded):
		return nil
	case err != nil:
		return err
	}
	if err := s.client.SetNX(ctx, s.names.readMark(b), 1, readRetention).Err(); err != nil {
		return tally.Unavailable(err)
	}
	return nil
}

// readCounts reads the current counts of topics. It leaves out those that were deleted or have data
// of another program.
func (s *Store) readCounts(ctx context.Context, from reader, b siteMetric, r *topGains, limit int) (top []tally.TopicGain, err error) {
	var queries []tally.Query
	var gains []int64
	for i, key := range r.keys {
		if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
			queries, gains = append(queries, tally.Query{Topic: topic}), append(gains, r.gains[i])
		}
	}
	for i, reading := range s.read(ctx, from, queries, false, marker{}) {
		switch {
		case reading.Err != nil && !isTopicError(reading.Err):
			return nil, reading.Err
		case reading.Change.Version == 0 && from != s.reader: // the replica is behind
		case reading.Change.Version == 0: // also after an error
			s.gains.add(tally.Change{Topic: reading.Change.Topic, Version: 1}, true)
		default:
			top = append(top, tally.TopicGain{Change: reading.Change, Gain: gains[i]})
		}
	}
	return top[:min(limit, len(top))], nil
}
