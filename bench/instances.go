package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// convergeWithin is the time for all viewers to show the same number, with this many on
// one machine.
const convergeWithin = time.Minute

type instancesCase struct {
	Instances int    `help:"Instances on one Redis." default:"10"`
	Viewers   int    `help:"Viewers of each." default:"18000"`
	Likes     int64  `help:"Likes, spread over the instances, that all viewers must show." default:"1000"`
	Transport string `help:"sse or ws." enum:"sse,ws" default:"sse"`
}

// Run measures how many instances converge.
func (c *instancesCase) Run(s *session) error {
	title := fmt.Sprintf("%d instances on one Redis, %d viewers in all", c.Instances, c.Instances*c.Viewers)
	return s.runCase("instances", title, func() error {
		s.recordFailure("instances", c.measure(s))
		return s.ctx.Err()
	})
}

func (c *instancesCase) measure(s *session) (err error) {
	p, t := peer.Tallycast(), load.Transport(c.Transport)
	redis, err := peer.StartRedis(s.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	var (
		servers []*peer.Server
		plans   []load.Plan
		empty   []int64 // resident bytes
	)
	defer func() {
		for _, server := range servers {
			err = errors.Join(err, server.Stop())
		}
	}()
	for range c.Instances {
		server, err := s.start(p, redis)
		if err != nil {
			return err
		}
		servers = append(servers, server)
		usage, err := server.Processes.Usage()
		if err != nil {
			return err
		}
		empty = append(empty, usage.RSS)
		plans = append(plans, load.Plan{Endpoint: server.Endpoint(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1})
	}
	audience, err := load.NewAudience(plans...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	s.progressf("connecting %d viewers", c.Instances*c.Viewers)
	ctx, cancel := s.timeout(time.Duration(c.Instances) * enterWithin)
	defer cancel()
	began := time.Now()
	if err := audience.Open(ctx); err != nil {
		return err
	}
	entered := time.Since(began)

	s.progressf("liking")
	var final int64
	began = time.Now()
	for i, server := range servers {
		likers, err := server.Likers(load.Concurrency{Loops: 8, First: i})
		if err != nil {
			return err
		}
		// The numbers of visitors begin at 1 for each Likers, so the same visitors like on
		// every instance and count once.
		result, err := likers.Run(s.ctx, load.Job{Topics: 1, For: convergeWithin, Count: c.Likes})
		if err := errors.Join(err, likers.Close()); err != nil {
			return err
		}
		if final == 0 {
			final = result.Likes
		}
	}
	liked := time.Since(began)
	began = time.Now()
	ctx, end := s.timeout(convergeWithin)
	defer end()
	if err := audience.Await(ctx, []int64{final}); err != nil {
		return err
	}
	converged := time.Since(began)
	got, err := audience.Report(s.ctx)
	if err != nil {
		return err
	}
	var rss, added int64
	for i, server := range servers {
		usage, err := server.Processes.Usage()
		if err != nil {
			return err
		}
		rss += usage.RSS
		added += usage.RSS - empty[i]
	}
	redisUsage, err := redis.Processes.Usage()
	if err != nil {
		return err
	}
	table := s.report.Table("what", "figure")
	table.Row("all connected, s", entered.Seconds())
	table.Row("likes acknowledged, of each visitor on every instance", c.Likes*int64(c.Instances))
	table.Row("the number that all viewers show", final)
	table.Row("time of the likes, s", liked.Seconds())
	table.Row("until all show it after the last acknowledgement, ms", float64(converged)/float64(time.Millisecond))
	table.Row("resident, all instances, MB", float64(rss)/(1<<20))
	table.Row("resident a viewer, KB", float64(added)/float64(got.Viewers)/1024)
	table.Row("resident, Redis, MB", float64(redisUsage.RSS)/(1<<20))
	s.report.Target(report.Target{What: "viewers that show the final number", Figure: float64(got.Live), Limit: float64(c.Instances * c.Viewers), AtLeast: true})
	return errors.Join(got.Check(1), s.report.Record(map[string]any{
		"Instances": c.Instances, "Viewers": got.Viewers, "Transport": t, "Final": final, "EnterSeconds": entered.Seconds(),
		"ConvergeMs": converged.Milliseconds(), "RSS": rss, "RedisRSS": redisUsage.RSS,
	}))
}
