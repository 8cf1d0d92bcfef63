package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// activityTotals is what instances told of their writes through this store, by instance and
// site, in pulses that are known to be stored. There is one instance but in tests.
type activityTotals struct {
	mu     sync.Mutex
	writes map[string]map[string]int64 // guarded by mu
}

// including returns what was told in all once pulse is.
func (t *activityTotals) including(pulse tally.Heartbeat) map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]int64{}
	maps.Copy(all, t.writes[pulse.Instance])
	for site, writes := range pulse.Writes {
		all[site] += writes
	}
	return all
}

func (t *activityTotals) set(instance string, all map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writes == nil {
		t.writes = map[string]map[string]int64{}
	}
	t.writes[instance] = all
}

// WriteHeartbeat implements [tally.Ledger].
func (s *Store) WriteHeartbeat(ctx context.Context, pulse tally.Heartbeat) error {
	all := s.activity.including(pulse)
	c := redistopology.NewDayCall(heartbeatScript, s.names.activity(""), 1, s.names.heartbeats())
	c.Append(pulse.Instance, pulse.Status, tally.HeartbeatTTL.Milliseconds(), (tally.ActivityRetention + redistopology.Day).Milliseconds())
	for site, writes := range all {
		c.Append(site, writes, pulse.Writes[site])
	}
	if _, err := s.callOnce(ctx, c); err != nil {
		return tally.Unavailable(fmt.Errorf("store a pulse: %w", err))
	}
	s.activity.set(pulse.Instance, all)
	return nil
}

// Heartbeats implements [tally.Ledger].
func (s *Store) Heartbeats(ctx context.Context) ([]tally.Heartbeat, error) {
	stored := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.heartbeats())
	clock := redis.NewTimeCmd(ctx, "time")
	if err := s.ask(ctx, s.names.heartbeats(), stored, clock); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the pulses: %w", err))
	}
	var pulses []tally.Heartbeat
	for instance, text := range stored.Val() {
		expires, rest, _ := strings.Cut(text, " ")
		_, status, _ := strings.Cut(rest, " ")
		if until, err := strconv.ParseInt(expires, 10, 64); err == nil && until > clock.Val().UnixMilli() {
			pulses = append(pulses, tally.Heartbeat{Instance: instance, Status: []byte(status)})
		}
	}
	slices.SortFunc(pulses, func(a, b tally.Heartbeat) int { return strings.Compare(a.Instance, b.Instance) })
	return pulses, nil
}

// Activity implements [tally.Ledger].
func (s *Store) Activity(ctx context.Context, from int64) ([]tally.Activity, error) {
	clock := redis.NewTimeCmd(ctx, "time")
	if err := s.ask(ctx, s.names.heartbeats(), clock); err != nil {
		return nil, tally.Unavailable(fmt.Errorf("read the activity: %w", err))
	}
	now := clock.Val()
	from = max(from, now.Add(-tally.ActivityRetention).Unix()/60)
	var days []*redis.MapStringStringCmd
	var commands []redis.Cmder
	// A day's hash has minutes of its neighbours: see call.day.
	for d := from/minutesADay - 1; d <= now.Unix()/60/minutesADay+1; d++ {
		command := redis.NewMapStringStringCmd(ctx, "hgetall", s.names.activity(strconv.FormatInt(d, 10)))
		days, commands = append(days, command), append(commands, command)
	}
	if err := s.ask(ctx, s.names.heartbeats(), commands...); err != nil {
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
