package tally

import (
	"context"
	"fmt"
	"time"
)

// Since is the time for which gains are computed, from a full hour or day until now.
type Since int

const (
	Since24h Since = iota
	Since7d
	Since30d
	// SinceCount is the number of values of [Since].
	SinceCount int = iota
)

// sinces has the text of each Since, the period at whose start it begins, and its length in
// whole periods, without the current one.
var sinces = [SinceCount]struct {
	text   string
	period Period
	length int64
}{{"24h", Hour, 24}, {"7d", Hour, 7 * 24}, {"30d", Day, 30}}

// ParseSince parses "24h", "7d" and "30d". Errors: [CodeBadBody].
func ParseSince(text string) (Since, error) {
	for i, s := range sinces {
		if s.text == text {
			return Since(i), nil
		}
	}
	return 0, Errorf(CodeBadBody, "since=%.40q is not possible; topics can be compared since 24h, 7d and 30d", text)
}

// String returns the text that [ParseSince] parses.
func (s Since) String() string { return sinces[s].text }

// Period returns the period at whose start s begins.
func (s Since) Period() Period { return sinces[s].period }

// First returns the number of the first period of s at now, in microseconds since the Unix
// epoch.
func (s Since) First(now int64) int64 { return s.Period().Number(now) - sinces[s].length }

// Begin returns when s begins at now, both in microseconds since the Unix epoch.
func (s Since) Begin(now int64) int64 { return s.Period().Begin(s.First(now)).UnixMicro() }

// CheckHistory returns an error if a store that retains days for history does not have the
// counts at the start of s. Errors: [CodeNotFound].
func (s Since) CheckHistory(history time.Duration) error {
	switch needed := time.Duration(sinces[s].length+1) * s.Period().Duration(); {
	case history == 0:
		return Errorf(CodeNotFound, "this service keeps no history, so it does not know which topics gained most (--history)")
	case s.Period() == Day && history < needed:
		return Errorf(CodeNotFound, "since=%s needs a history of %s; this service keeps %s (--history)", s, FormatDuration(needed), FormatDuration(history))
	}
	return nil
}

// Gain returns by how much the contributions to a topic grew since s. The history is by the
// period of s.
func (h *History) Gain(s Since) int64 { return h.Sum() - h.SumAt(s.First(h.Now)-1) }

// TopicGain is a topic and its gain.
type TopicGain struct {
	Change
	Gain int64
}

// GainWait bounds how long a reader waits for gains to be computed. Then it gets the stored
// ones. It leaves time to read the counts before the deadline of the answer.
const GainWait = 2 * time.Second

// GainRanker orders topics by their gains.
type GainRanker interface {
	// TopGains returns the topics of a metric, which is not presence, with the highest gains
	// above 0, highest first, equal gains ordered by topic; at most limit. Gains may be 5 s
	// behind. Those that nobody read for a while may be further behind if computing them takes
	// longer than [GainWait]. Errors: [CodeNotFound] of [Since.CheckHistory],
	// [CodeStoreUnavailable].
	TopGains(ctx context.Context, site, metric string, since Since, limit int) ([]TopicGain, error)
}

// TopGains returns the topics of a metric whose contributions grew most, and whether they are
// stale, as a [Reading]. Errors: [CodeUnknownSite], [CodeUnknownMetric], [CodeBadBody], [CodeNotFound],
// [CodeStoreUnavailable].
func (s *Service) TopGains(ctx context.Context, site, metric string, since Since, limit int) (gains []TopicGain, isStale bool, err error) {
	if err := s.catalog.Validate(site, metric); err != nil {
		return nil, false, err
	}
	if s.catalog.MetricRule(metric).Kind == Presence {
		return nil, false, Errorf(CodeBadBody, "%s counts present pages, which gain nothing; leave out since", metric)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	isStale = s.isStale()
	gains, err = s.store.TopGains(ctx, site, metric, since, limit)
	return gains, isStale, err
}

// AppendGain appends r as JSON to dst: a frame with the gain.
func AppendGain(dst []byte, r TopicGain) []byte {
	dst = AppendFrame(dst, r.Change)
	return fmt.Appendf(dst[:len(dst)-1], `,"gain":%d}`, r.Gain)
}
