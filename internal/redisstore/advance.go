package redisstore

import (
	"context"
	"errors"
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

const (
	// advanceTimeout bounds the computation of a metric's gains for an hour.
	advanceTimeout = time.Minute
	// advanceRetries is the interval at which an instance checks whether another one has computed
	// the gains, and failedRetries the pause after a failure.
	advanceRetries = 100 * time.Millisecond
	failedRetries  = time.Second
)

// advances are requests to compute the gains of metrics for an hour that began. Only changes and
// reads of a metric request this: gains of other metrics are not computed.
type advances struct {
	run func(ctx context.Context, b leaderboard, isFull bool) (done bool, err error) // fixed

	mu sync.Mutex
	// Guarded by mu.
	known     map[leaderboard]time.Time // when this instance last renewed the mark of the gains that it reads
	requested map[leaderboard]*advance
	wake      chan struct{}      // holds a token after a new request
	cancel    context.CancelFunc // ends the running computation
	ended     chan struct{}      // closed when it has ended; nil if none runs
	closed    bool
}

// advance is a requested computation of the gains of a metric. [advances.mu] guards it.
type advance struct {
	isFull    bool // whether to compute all gains, see [Store.advance]
	isRunning bool
	again     bool          // isFull was requested while it ran
	ended     chan struct{} // closed after err was set
	err       error
}

func newAdvances() advances {
	return advances{known: map[leaderboard]time.Time{}, requested: map[leaderboard]*advance{}, wake: make(chan struct{}, 1)}
}

// renew reports whether an instance that reads the gains of a metric must renew their mark.
func (a *advances) renew(b leaderboard) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.known[b]) < readRenewal {
		return false
	}
	a.known[b] = time.Now()
	return true
}

// request requests the computation of the gains of a metric.
func (a *advances) request(b leaderboard, isFull bool) *advance {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requestLocked(b, isFull)
}

// requestAll requests the computation of all gains, since Redis may have lost data.
func (a *advances) requestAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b := range a.known {
		a.requestLocked(b, true)
	}
}

func (a *advances) requestLocked(b leaderboard, isFull bool) *advance {
	g := a.requested[b]
	if g == nil {
		g = &advance{ended: make(chan struct{})}
		a.requested[b] = g
		notify(a.wake)
	}
	if isFull {
		g.isFull, g.again = true, g.isRunning
	}
	if a.closed || a.ended != nil {
		return g
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	a.cancel, a.ended = cancel, ended
	go func() { // ends when nothing is requested, or with close, which waits for it
		defer close(ended)
		defer cancel()
		for {
			boards := a.boards()
			if len(boards) == 0 {
				return
			}
			pause := failedRetries
			for _, b := range boards {
				pause = min(pause, a.runOne(ctx, b))
			}
			a.await(ctx, jitter(pause))
		}
	}()
	return g
}

// boards returns the metrics with requested computations.
func (a *advances) boards() []leaderboard {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.requested) == 0 {
		a.ended = nil
		return nil
	}
	return slices.Collect(maps.Keys(a.requested))
}

// await waits for a new request, but not longer than pause.
func (a *advances) await(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.wake:
	case <-ctx.Done():
	}
}

// runOne computes the gains of a metric, and returns the pause before the next request. If another
// instance computes them, the request stays. After a failure the next change or reader requests the
// computation again. Nobody would request that of all gains again, so it is repeated.
func (a *advances) runOne(ctx context.Context, b leaderboard) (pause time.Duration) {
	a.mu.Lock()
	g := a.requested[b]
	isFull := g.isFull
	g.isRunning, g.again = true, false
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, advanceTimeout)
	defer cancel()
	done, err := a.run(ctx, b, isFull)
	a.mu.Lock()
	defer a.mu.Unlock()
	g.isRunning = false
	switch {
	case err == nil && !done:
		return advanceRetries
	case err == nil && g.again, errors.Is(err, errHourEnded):
		return 0
	}
	delete(a.requested, b)
	g.err = err
	close(g.ended)
	if err != nil && g.isFull {
		a.requested[b] = &advance{isFull: true, ended: make(chan struct{})}
		return failedRetries
	}
	return 0
}

// close ends the running computation.
func (a *advances) close() {
	a.mu.Lock()
	a.closed = true
	ended := a.ended
	if ended != nil {
		a.cancel()
	}
	a.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// advance computes the gains of a metric for an hour that began. If isFull is true, it reads all
// topics, else those whose gains differ from the last hour. It returns false if another instance
// computes them.
func (s *Store) advance(ctx context.Context, b leaderboard, isFull bool) (done bool, err error) {
	r, err := s.readRising(ctx, s.reader, b, tally.Since24h, 1)
	if err != nil || !isFull && r.computed == r.hour() {
		return err == nil, err
	}
	lease := "gains:" + b.site + "/" + b.metric
	if held, err := s.acquireLease(ctx, lease); err != nil || !held {
		return false, err
	}
	defer s.keepLease(lease)()
	at := boardHour{b, r.hour()}
	hour, _ := strconv.ParseInt(at.hour, 10, 64)
	before, err := s.setComputed(ctx, at, strconv.FormatInt(hour-1, 10)+".5")
	if err != nil {
		return false, err
	}
	next := redis.ZRangeArgs{Key: s.names.gainKeys(b)[0], ByScore: true, Start: minVersion, Stop: "+inf", Count: advanceChunk}
	computed, err := strconv.ParseInt(before, 10, 64)
	if isFull = isFull || err != nil || computed > hour; isFull {
		begin := tally.Since30d.Begin(tally.Hour.Begin(hour).UnixMicro())
		if err := s.eachChanged(ctx, b, s.directoryRange(b, begin), func(topics []tally.Topic, _ map[tally.Topic]int64) error {
			return s.computeGains(ctx, topics, nil, hour)
		}); err != nil {
			return false, err
		}
	} else {
		since := tally.Since7d // else the gains since then are 0 before and after
		if computed/24 != hour/24 {
			since = tally.Since30d
		}
		next.Start = strconv.FormatInt(since.Begin(tally.Hour.Begin(computed).UnixMicro()), 10)
	}
	if err := s.eachChanged(ctx, b, next, func(topics []tally.Topic, versions map[tally.Topic]int64) error {
		return s.computeGains(ctx, topics, versions, hour)
	}); err != nil {
		return false, err
	}
	_, err = s.setComputed(ctx, at, at.hour)
	return err == nil, err
}

// setComputed sets the score of the empty member, and returns the one before.
func (s *Store) setComputed(ctx context.Context, at boardHour, score string) (before string, err error) {
	calls := []redistopology.Call{s.riseCall(at, score)}
	if err := s.callAll(ctx, calls); err != nil {
		return "", err
	}
	hour, before, _ := strings.Cut(calls[0].Text(), " ")
	if calls[0].Err != nil {
		return "", tally.Unavailable(calls[0].Err)
	}
	if hour != at.hour {
		return "", errHourEnded
	}
	return before, nil
}

// directoryRange returns the entries of the directory that changed since a version, the newest
// first.
func (s *Store) directoryRange(b leaderboard, version int64) redis.ZRangeArgs {
	return redis.ZRangeArgs{
		Key: s.names.directory(b.site), ByScore: true, Rev: true, Count: advanceChunk,
		Start: "+inf", Stop: strconv.FormatInt(version, 10),
	}
}

// eachChanged calls use with the topics of a metric in a range of :changed or of the directory, and
// with their versions there. From the directory it reads at most gainsSize topics. It may pass a
// topic twice.
func (s *Store) eachChanged(ctx context.Context, b leaderboard, next redis.ZRangeArgs, use func([]tally.Topic, map[tally.Topic]int64) error) error {
	prefix, used := "", 0
	if next.Key == s.names.directory(b.site) {
		prefix = b.metric + "/"
	}
	for {
		found, err := s.client.ZRangeArgsWithScores(ctx, next).Result()
		if err != nil {
			return tally.Unavailable(err)
		}
		var topics []tally.Topic
		versions := map[tally.Topic]int64{}
		for _, z := range found {
			member, _ := z.Member.(string)
			if key, ok := strings.CutPrefix(member, prefix); ok {
				if topic, err := tally.NewTopic(b.site, b.metric, key); err == nil {
					topics, versions[topic] = append(topics, topic), int64(z.Score)
				}
			}
		}
		if len(topics) > 0 {
			if err := use(topics, versions); err != nil {
				return err
			}
		}
		if used += len(topics); len(found) < advanceChunk || prefix != "" && used >= gainsSize {
			return nil
		}
		// The next chunk begins with the last version again. With an offset alone it would leave
		// out a topic for each topic of that version that changed in the meantime.
		version := strconv.FormatFloat(found[len(found)-1].Score, 'f', 0, 64)
		if next.Start != version {
			next.Offset = 0
		}
		next.Start = version
		if found[0].Score == found[len(found)-1].Score {
			next.Offset += int64(len(found))
		}
	}
}
