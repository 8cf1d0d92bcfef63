package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// WriteHeartbeat implements [tally.Ledger].
func (s *Store) WriteHeartbeat(ctx context.Context, heartbeat tally.Heartbeat) error {
	args := heartbeatArgs(heartbeat, tally.HeartbeatTTL)
	c := redistopology.NewDayCall(probeScript, s.names.activity(""), 1, s.names.heartbeats())
	c.Durable = true
	c.Append("", "", "heartbeat", 2, len(args)) // see script/probe.lua
	c.Append(args...)
	c = s.call(ctx, c)
	if replies, _ := c.Reply.([]any); c.Err == nil && len(replies) == 3 {
		if text, failed := replies[2].(string); failed {
			c.Err = replyError(text)
		}
	}
	if c.Err != nil {
		return tally.Unavailable(fmt.Errorf("store the heartbeat: %w", c.Err))
	}
	return nil
}

// heartbeatArgs returns the arguments of the part heartbeat of script/probe.lua.
func heartbeatArgs(heartbeat tally.Heartbeat, ttl time.Duration) []any {
	if heartbeat.Last {
		ttl = 0
	}
	args := []any{heartbeat.Instance, heartbeat.Status, ttl.Milliseconds(), (tally.ActivityRetention + redistopology.Day).Milliseconds()}
	for site, total := range heartbeat.Totals {
		if total > 0 {
			args = append(args, site, total, heartbeat.Writes[site])
		}
	}
	return args
}

// Heartbeats implements [tally.Ledger].
func (s *Store) Heartbeats(ctx context.Context) ([]tally.Heartbeat, error) {
	pipe := s.client.Pipeline()
	stored, clock := pipe.HGetAll(ctx, s.names.heartbeats()), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the heartbeats: %w", err))
	}
	var heartbeats []tally.Heartbeat
	for instance, text := range stored.Val() {
		expires, rest, _ := strings.Cut(text, " ")
		_, status, _ := strings.Cut(rest, " ")
		if until, err := strconv.ParseInt(expires, 10, 64); err == nil && until > clock.Val().UnixMilli() {
			heartbeats = append(heartbeats, tally.Heartbeat{Instance: instance, Status: []byte(status)})
		}
	}
	slices.SortFunc(heartbeats, func(a, b tally.Heartbeat) int { return strings.Compare(a.Instance, b.Instance) })
	return heartbeats, nil
}

// Activity implements [tally.Ledger].
func (s *Store) Activity(ctx context.Context, from int64) ([]tally.Activity, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the activity: %w", err))
	}
	from = max(from, now.Add(-tally.ActivityRetention).Unix()/60)
	var days []*redis.MapStringStringCmd
	pipe := s.client.Pipeline()
	// The hash of a day may have minutes of adjacent days: see the package comment.
	for d := from/minutesADay - 1; d <= now.Unix()/60/minutesADay+1; d++ {
		days = append(days, pipe.HGetAll(ctx, s.names.activity(strconv.FormatInt(d, 10))))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the activity: %w", err))
	}
	type when struct {
		minute int64
		site   string
	}
	sums := map[when]int64{}
	for _, d := range days {
		for field, text := range d.Val() {
			number, site, _ := strings.Cut(field, " ")
			minute, err1 := strconv.ParseInt(number, 10, 64)
			writes, err2 := strconv.ParseInt(text, 10, 64)
			if err1 == nil && err2 == nil && minute >= from {
				sums[when{minute, site}] += writes
			}
		}
	}
	activity := make([]tally.Activity, 0, len(sums))
	for w, writes := range sums {
		activity = append(activity, tally.Activity{Site: w.site, Minute: w.minute, Writes: writes})
	}
	slices.SortFunc(activity, func(a, b tally.Activity) int {
		return cmp.Or(cmp.Compare(a.Minute, b.Minute), strings.Compare(a.Site, b.Site))
	})
	return activity, nil
}

const minutesADay = int64(redistopology.Day / time.Minute)
