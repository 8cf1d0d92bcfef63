package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// computeTimeout bounds the computation of a metric's gains for an hour.
	computeTimeout = time.Minute
	// leaseRetries is the interval at which an instance checks whether another one has computed
	// the gains, and failedRetries the pause after a failure.
	leaseRetries  = 100 * time.Millisecond
	failedRetries = time.Second
)

// gainComputations compute the gains of metrics for an hour that began. Only changes and reads of a
// metric request this: gains of other metrics are not computed.
type gainComputations struct {
	// Fixed.
	compute func(ctx context.Context, b siteMetric, all bool) (done bool, err error)
	ctx     context.Context // ends with close
	cancel  context.CancelFunc

	running sync.WaitGroup
	turn    sync.Mutex // held during an attempt: one metric at a time

	mu sync.Mutex
	// Guarded by mu.
	renewed   map[siteMetric]time.Time // when this instance last renewed the mark of the gains that it reads
	requested map[siteMetric]*gainComputation
	closed    bool
}

// gainComputation is a requested computation. [gainComputations.mu] guards it.
type gainComputation struct {
	all   bool          // whether to compute all gains, see [Store.computeHour]
	again bool          // all gains were requested since the last attempt began
	ended chan struct{} // closed after err was set
	err   error
}

func newGainComputations() *gainComputations {
	g := &gainComputations{renewed: map[siteMetric]time.Time{}, requested: map[siteMetric]*gainComputation{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// renew reports whether an instance that reads the gains of a metric must renew their mark.
func (g *gainComputations) renew(b siteMetric) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.renewed[b]) < readRenewal {
		return false
	}
	g.renewed[b] = time.Now()
	return true
}

// request requests the computation of the gains of a metric.
func (g *gainComputations) request(b siteMetric, all bool) *gainComputation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requestLocked(b, all)
}

// requestAll requests the computation of all gains, since Redis may have lost data.
func (g *gainComputations) requestAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for b := range g.renewed {
		g.requestLocked(b, true)
	}
}

func (g *gainComputations) requestLocked(b siteMetric, all bool) *gainComputation {
	c := g.requested[b]
	if c == nil {
		c = &gainComputation{ended: make(chan struct{})}
		g.requested[b] = c
		if !g.closed {
			g.running.Go(func() { g.run(b, c) }) // ends with the computation, or with close, which waits for it
		}
	}
	c.all, c.again = c.all || all, c.again || all
	return c
}

// run computes the gains of a metric.
func (g *gainComputations) run(b siteMetric, c *gainComputation) {
	for pause := time.Duration(0); c != nil && sleep(g.ctx, jitter(pause)); {
		c, pause = g.attempt(b, c)
	}
}

// attempt computes the gains of a metric once. It returns the computation to continue after a pause,
// nil for none. If another instance computes the gains, c continues. After a failure the next
// change or reader requests the computation again. Nobody would request that of all gains again, so
// it is repeated.
func (g *gainComputations) attempt(b siteMetric, c *gainComputation) (next *gainComputation, pause time.Duration) {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	all := c.all
	c.again = false
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(g.ctx, computeTimeout)
	defer cancel()
	done, err := g.compute(ctx, b, all)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil && !done:
		return c, leaseRetries
	case err == nil && c.again, errors.Is(err, errHourEnded):
		return c, 0
	}
	c.err = err
	close(c.ended)
	delete(g.requested, b)
	if err != nil && c.all {
		next = &gainComputation{all: true, ended: make(chan struct{})}
		g.requested[b] = next
	}
	return next, failedRetries
}

// close ends the running computations.
func (g *gainComputations) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.cancel()
	g.running.Wait()
}

// computeHour computes the gains of a metric for an hour that began. If all is true, it reads all
// topics, else those whose gains differ from the last hour. It returns false if another instance
// computes them.
func (s *Store) computeHour(ctx context.Context, b siteMetric, all bool) (done bool, err error) {
	r, err := s.readTopGains(ctx, s.reader, b, tally.Since24h, 1)
	if err != nil || !all && r.computed == r.hour() {
		return err == nil, err
	}
	lease := "gains:" + b.site + "/" + b.metric
	if held, err := s.acquireLease(ctx, lease); err != nil || !held {
		return false, err
	}
	defer s.keepLease(lease)()
	at := gainHour{b, r.hour()}
	hour, _ := strconv.ParseInt(at.hour, 10, 64)
	before, err := s.setComputed(ctx, at, strconv.FormatInt(hour-1, 10)+".5")
	if err != nil {
		return false, err
	}
	next := redis.ZRangeArgs{Key: s.names.gainKeys(b)[0], ByScore: true, Start: minVersion, Stop: "+inf", Count: changedChunk}
	computed, err := strconv.ParseInt(before, 10, 64)
	if all || err != nil || computed > hour {
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
func (s *Store) setComputed(ctx context.Context, at gainHour, score string) (before string, err error) {
	c := s.call(ctx, s.writeGainsCall(at, score))
	hour, before, _ := strings.Cut(c.Text(), " ")
	switch {
	case c.Err != nil:
		return "", tally.Unavailable(c.Err)
	case hour != at.hour:
		return "", errHourEnded
	}
	return before, nil
}

// directoryRange returns the entries of the directory that changed since a version, the newest
// first.
func (s *Store) directoryRange(b siteMetric, version int64) redis.ZRangeArgs {
	return redis.ZRangeArgs{
		Key: s.names.directory(b.site), ByScore: true, Rev: true, Count: changedChunk,
		Start: "+inf", Stop: strconv.FormatInt(version, 10),
	}
}

// eachChanged calls use with the topics of a metric in a range of :changed or of the directory, and
// with their versions there. From the directory it reads at most gainsSize topics. It may pass a
// topic twice.
func (s *Store) eachChanged(ctx context.Context, b siteMetric, next redis.ZRangeArgs, use func([]tally.Topic, map[tally.Topic]int64) error) error {
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
		if used += len(topics); len(found) < changedChunk || prefix != "" && used >= gainsSize {
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
