package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits of the history: the cost of a like relative to that without history, and the time of a
// list of the topics that gained most.
const (
	historyTarget = 1.05
	gainsTarget   = 5.0 // ms
)

// gainsWithin is the time until the gains of all topics are computed after the start.
const gainsWithin = 5 * time.Minute

type historyCase struct {
	Connections int           `help:"Likes in flight." default:"64"`
	Spread      int           `help:"Topics over which likes spread at random." default:"10000"`
	Duration    time.Duration `help:"Time of each measurement." default:"10s"`
	Warm        time.Duration `help:"Time of likes before each measurement." default:"2s"`
	Runs        int           `help:"Rounds; history on and off take turns." default:"5"`
	Topics      int           `help:"Topics in Redis when lists are read." default:"100000"`
	Active      int           `help:"Topics of them that changed in the last 30 days." default:"20000"`
	Settle      time.Duration `help:"Wait before lists are read: Redis was filled by another program, and the first instance builds the directory of topics." default:"45s"`
	Calls       int           `help:"Calls of each list." default:"2000"`
}

// Run measures the cost of the history, and of lists of the topics that gained most.
func (c *historyCase) Run(s *session) error {
	title := fmt.Sprintf("CPU of server and Redis a like with and without history, %d in flight, %d runs; lists of gains", c.Connections, c.Runs)
	return s.runCase("history", title, func() error {
		cost := figures{}
		likes := likesCase{Connections: c.Connections, Duration: c.Duration, Warm: c.Warm}
		for round := range c.Runs {
			for _, topics := range []int{1, c.Spread} {
				for _, p := range []*peer.Peer{peer.Tallycast(), peer.TallycastWithoutHistory()} {
					if s.ctx.Err() != nil {
						break
					}
					s.progressf("round %d of %d: %s on %d topics", round+1, c.Runs, p.Name, topics)
					s.withServer(p, func(server *peer.Server) error {
						m, err := likes.measure(s, server, topics, load.Concurrency{Loops: c.Connections})
						if m.Likes > 0 {
							cost.add(likedName(p, topics), m.Server+m.Redis)
						}
						return err
					})
				}
			}
		}
		table := s.report.Table("server and topics", "µs a like (min / median / max)", "× without history (min / median / max)")
		for _, topics := range []int{1, c.Spread} {
			on, off := likedName(peer.Tallycast(), topics), likedName(peer.TallycastWithoutHistory(), topics)
			table.Row(off, spread(measure.Summarise(cost[off])), "")
			table.Row(on, spread(measure.Summarise(cost[on])), spread(measure.Summarise(cost.ratios(on, off))))
			s.report.Target(report.Target{What: on + ", beside none without history", Figure: cost.ratio(on, off), Limit: historyTarget, Unit: "×"})
		}
		if s.ctx.Err() == nil {
			s.recordFailure("lists of gains", c.gains(s))
		}
		return s.ctx.Err()
	})
}

// gains measures lists of the topics that gained most, while likes arrive.
func (c *historyCase) gains(s *session) (err error) {
	s.progressf("storing %d topics, %d of them active", c.Topics, c.Active)
	shared, err := peer.StartRedis(s.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	if err := c.fill(s.ctx, shared.Address); err != nil {
		return err
	}
	server, err := s.start(peer.Tallycast(), shared)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := errors.Join(c.awaitLists(s, server), s.wait(c.Settle)); err != nil {
		return err
	}
	likers, err := server.Likers(load.Concurrency{Loops: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	table := s.report.Table("list of 100 topics", "calls", "p50 ms", "p99 ms", "max ms")
	for _, since := range []string{"24h", "7d", "30d"} {
		s.progressf("reading gains since %s", since)
		ctx, cancel := context.WithCancel(s.ctx)
		ended := make(chan error, 1)
		go func() { // ends with ctx
			for ctx.Err() == nil {
				if _, err := likers.Run(ctx, load.Job{Topics: 1000, For: time.Second, Count: 100}); err != nil && ctx.Err() == nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
		took, err := c.read(server, since)
		cancel()
		if err := errors.Join(err, <-ended); err != nil {
			return err
		}
		p99 := float64(took.ValueAtQuantile(99)) / 1000
		table.Row("since "+since, c.Calls, float64(took.ValueAtQuantile(50))/1000, p99, float64(took.Max())/1000)
		s.report.Target(report.Target{What: "a list of gains since " + since + ", p99", Figure: p99, Limit: gainsTarget, Unit: "ms"})
	}
	return nil
}

// fill stores topics in Redis as tallycast does, see internal/redisstore/doc.go. An active one
// changed on ten days, and in three hours of each of the last eight days.
func (c *historyCase) fill(ctx context.Context, address string) error {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	now := time.Now()
	pipe := client.Pipeline()
	pipe.HSet(ctx, "tally:rules", "likes", "toggle")
	for i := range c.Topics {
		key := "tally:{" + load.Topic(i) + "}:"
		changed, count := now.Add(-40*24*time.Hour), int64(30+i%100)
		if i < c.Active {
			changed = now.Add(-time.Duration(i%29) * 24 * time.Hour)
			last := changed.Unix() / 3600
			days, hours := []any{}, []any{}
			for n := range int64(10) {
				days = append(days, last/24-1-3*n, count-1-n)
			}
			for n := range int64(24) {
				hours = append(hours, last-1-8*n, count-1-n)
			}
			pipe.HSet(ctx, key+"days", days...)
			pipe.HSet(ctx, key+"hours", hours...)
		}
		pipe.HSet(ctx, key+"count", "n", count, "v", changed.UnixMicro(), "p", 0)
		if pipe.Len() >= 1000 || i == c.Topics-1 {
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("fill Redis: %w", err)
			}
		}
	}
	return nil
}

// awaitLists waits until the first lists are computed.
func (c *historyCase) awaitLists(s *session, server *peer.Server) error {
	for deadline := time.Now().Add(gainsWithin); ; {
		var errs []error
		for _, since := range []string{"24h", "7d", "30d"} {
			errs = append(errs, c.call(server, since))
		}
		err := errors.Join(errs...)
		if err == nil {
			return nil
		}
		if stopped := s.wait(time.Second); stopped != nil || time.Now().After(deadline) {
			return errors.Join(err, stopped)
		}
	}
}

// call reads a list and checks its length.
func (c *historyCase) call(server *peer.Server, since string) error {
	answer, err := http.Get(fmt.Sprintf("http://%s/v1/top/default/likes?limit=100&since=%s", server.Address, since))
	if err != nil {
		return err
	}
	var body struct{ Top []struct{ Gain int64 } }
	err = json.NewDecoder(answer.Body).Decode(&body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("read a list: %w", err)
	}
	// One topic of 29 changed within the last day.
	if n := len(body.Top); answer.StatusCode != http.StatusOK || n < min(100, c.Active/29) {
		return fmt.Errorf("a list since %s has %d topics, and the status %d", since, n, answer.StatusCode)
	}
	return nil
}

// read measures calls for a list, one after the other.
func (c *historyCase) read(server *peer.Server, since string) (*hdrhistogram.Histogram, error) {
	took := load.NewHistogram()
	for range c.Calls {
		began := time.Now()
		if err := c.call(server, since); err != nil {
			return nil, err
		}
		if err := took.RecordValue(time.Since(began).Microseconds()); err != nil {
			return nil, err
		}
	}
	return took, nil
}
