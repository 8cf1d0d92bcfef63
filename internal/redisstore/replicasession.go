package redisstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// errResynchronised is why a session ends after the replica read all data of its primary:
// publications of that time did not arrive.
var errResynchronised = errors.New("it read all data of its primary again, so changes may be missed")

// followPrimary waits for the probes that the primary publishes, and ends the session if they do
// not come back.
func (e *session) followPrimary() error {
	r := e.node.replica
	select {
	case <-e.ctx.Done():
		return nil
	case <-e.established:
	}
	// Unlike the subscription, a connection with WATCH shows that the replica replaced its data.
	conn := e.node.Client.Conn()
	defer conn.Close()
	if err := e.watchData(conn); err != nil {
		return err
	}
	r.establish(true)
	if primary := e.store.primary(); primary != nil {
		notify(primary.pace.soon)
	}
	tick := time.NewTicker(maxSilence / 15)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return nil
		case <-e.probePassed: // a probe came back
			if err := e.watchData(conn); err != nil {
				return err
			}
			e.node.status.setUsable(nil)
			r.update(func() { r.proven = true })
			e.reportLive()
		case <-tick.C:
			switch {
			case e.feed.unconfirmed() > maxSilence+establishTime:
				return errUnconfirmed
			case r.silence() > maxSilence:
				return r.explainSilence(e.ctx)
			}
			r.update(func() {}) // the primary may be away now
		}
	}
}

// maxBehind returns how long the state of a topic at the replica may be older than the shown one
// before it is compared with the primary's.
func (e *session) maxBehind() time.Duration {
	if e.node.replica == nil {
		return 0
	}
	return e.node.replica.lag() + e.store.options.Intervals.Behind
}

// setBehind records since when topics have been behind: differing has the shown state, and that of the
// replica is older. It returns the topics to compare with the primary: those that have been behind
// for longer than limit, each once in that time, and those with another count of the same version.
// The latter is not caused by lag: shares of a dead instance expired.
func (f *feed) setBehind(watches []watch, readings []tally.Reading, differing map[tally.Topic]tally.Change, now time.Time, limit time.Duration) (overdue []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range watches {
		t := f.topics[w.topic.String()]
		if t == nil {
			continue
		}
		since, isBehind := f.behind[t]
		switch held, differs := differing[w.topic]; {
		case !differs:
			delete(f.behind, t)
		case held.Version == readings[i].Change.Version:
			delete(f.behind, t)
			overdue = append(overdue, w)
		case !isBehind:
			f.behind[t] = now
		case now.Sub(since) > limit:
			f.behind[t] = now
			overdue = append(overdue, w)
		}
	}
	return overdue
}

// behindFor returns the topics that have been behind for longer than limit, by their last reading.
func (f *feed) behindFor(now time.Time, limit time.Duration) (watches []watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, since := range f.behind {
		if t.is(wanted) && now.Sub(since) > limit {
			watches = append(watches, watch{t.topic, t.number})
		}
	}
	return watches
}

// watchData watches the secret, whose value never changes. It returns an error if the data were
// replaced since the last call, since Redis refuses the transaction then.
func (e *session) watchData(conn *redis.Conn) error {
	pipe := conn.TxPipeline()
	key := e.store.names.secret()
	pipe.Exists(e.ctx, key)
	_, err := pipe.Exec(e.ctx)
	if errors.Is(err, redis.TxFailedErr) {
		return errResynchronised
	}
	if err == nil {
		err = conn.Process(e.ctx, redis.NewStatusCmd(e.ctx, "watch", key))
	}
	if err != nil && !errors.As(err, new(redis.Error)) {
		return fmt.Errorf("WATCH: %w", err)
	}
	return nil // without the right to WATCH only the sweep discovers missed changes
}
