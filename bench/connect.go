package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// quiet is the time without use of CPU after which a server has finished with the viewers
// that left.
const quiet = 300 * time.Millisecond

type connectCase struct {
	Viewers   int      `help:"Viewers that connect, disconnect at once, and reconnect." default:"18000"`
	Runs      int      `help:"Rounds; in each, every server runs once." default:"3"`
	Transport string   `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers     []string `help:"Only these peers (names, comma-separated)."`
}

// connected is the cost of connecting viewers.
type connected struct {
	Peer                string
	Transport           load.Transport
	Viewers             int
	CPU                 float64 // µs of server and Redis for a connection with its snapshot
	Seconds, BackWithin float64 // until all had their snapshot, at first and after reconnecting
	LeaveCPU            float64 // µs of the server for a viewer that left
}

// Run measures the cost of connections.
func (c *connectCase) Run(s *session) error {
	// Without the floor, which detects a closed connection only by writing to it.
	peers, err := selectPeers([]*peer.Peer{
		peer.Tallycast(), peer.Naive(), peer.CentrifugeDefault(), peer.CentrifugeBest(), peer.Nchan(), peer.SocketIO(),
	}, c.Peers)
	if err != nil {
		return err
	}
	return s.runCase("connect", fmt.Sprintf("CPU a connection, %d viewers that connect at once, %d runs", c.Viewers, c.Runs), func() error {
		cpu, first, back := figures{}, figures{}, figures{}
		for round := range c.Runs {
			for _, t := range transports(c.Transport) {
				for _, p := range peers {
					if !p.Serves(t) || s.ctx.Err() != nil {
						continue
					}
					s.progressf("round %d of %d: %s on %s", round+1, c.Runs, p.Name, t)
					s.withServer(p, func(server *peer.Server) error {
						m, err := c.measure(s, server, t)
						if err != nil {
							return err
						}
						who := name(p, t)
						cpu.add(who, m.CPU)
						first.add(who, m.Seconds)
						back.add(who, m.BackWithin)
						return s.report.Record(m)
					})
				}
			}
		}
		table := s.report.Table("server", "transport", "µs a connection (min / median / max)", "all connected, s", "all reconnected, s")
		var bars []report.Bar
		for _, t := range transports(c.Transport) {
			for _, p := range peers {
				if who := name(p, t); len(cpu[who]) > 0 {
					summary := measure.Summarise(cpu[who])
					table.Row(p.Name, t, spread(summary), first.median(who), back.median(who))
					bars = append(bars, report.Bar{Name: who, Summary: summary, Ours: p.Name == "tallycast"})
				}
			}
			s.report.Target(report.Target{
				What:   fmt.Sprintf("a connection on %s, beside naive", t),
				Figure: cpu.ratio(name(peer.Tallycast(), t), name(peer.Naive(), t)), Limit: 1, Unit: "×",
			})
		}
		s.report.Bars("µs of CPU a connection", bars)
		return s.ctx.Err()
	})
}

func (c *connectCase) measure(s *session, server *peer.Server, t load.Transport) (m connected, err error) {
	m = connected{Peer: server.Peer.Name, Transport: t, Viewers: c.Viewers}
	likers, err := server.Likers(load.Concurrency{Loops: 1})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	last, err := likers.One(0) // so that there is a count to show
	if err != nil {
		return m, err
	}
	audience, err := load.NewAudience(load.Plan{Endpoint: server.Endpoint(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	enter := func() (seconds, cpu float64, err error) {
		before, err := server.CPU()
		if err != nil {
			return 0, 0, err
		}
		ctx, cancel := s.timeout(enterWithin)
		defer cancel()
		began := time.Now()
		if err := audience.Open(ctx); err != nil {
			return 0, 0, err
		}
		seconds = time.Since(began).Seconds()
		after, err := server.CPU()
		cost := after.Sub(before)
		return seconds, micros(cost.Server+cost.Redis) / float64(c.Viewers), err
	}
	if m.Seconds, m.CPU, err = enter(); err != nil {
		return m, err
	}
	before, err := server.CPU()
	if err != nil {
		return m, err
	}
	// All viewers reconnect while the server still closes their old connections, as after
	// a network failure.
	if err := audience.Leave(s.ctx); err != nil {
		return m, err
	}
	var back float64
	if m.BackWithin, back, err = enter(); err != nil {
		return m, err
	}
	if err := s.untilQuiet(server); err != nil {
		return m, err
	}
	after, err := server.CPU()
	if err != nil {
		return m, err
	}
	m.LeaveCPU = micros(after.Sub(before).Server)/float64(c.Viewers) - back
	if server.Peer.Name == peer.CentrifugeDefault().Name || server.Peer.Name == peer.CentrifugeBest().Name {
		// It has no snapshot: viewers see the next change.
		if last, err = likers.One(0); err != nil {
			return m, err
		}
	}
	ctx, cancel := s.timeout(settleWithin)
	defer cancel()
	if err := audience.Await(ctx, []int64{last.Final()}); err != nil {
		return m, err
	}
	got, err := audience.Report(s.ctx)
	if err != nil {
		return m, err
	}
	return m, got.Check(1)
}

// untilQuiet waits until the server is idle.
func (s *session) untilQuiet(server *peer.Server) error {
	ctx, cancel := s.timeout(settleWithin)
	defer cancel()
	before, err := server.CPU()
	for err == nil {
		if err = s.wait(quiet); err != nil {
			return err
		}
		var now peer.CPU
		if now, err = server.CPU(); err != nil {
			return err
		}
		// An idle server may still use one tick of 10 ms in 300.
		if now.Server-before.Server <= 10*time.Millisecond || ctx.Err() != nil {
			return nil
		}
		before = now
	}
	return err
}
