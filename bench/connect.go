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

// quiet is how long a server's CPU time must stand still until it counts as done
// with those that left.
const quiet = 300 * time.Millisecond

type connectCase struct {
	Viewers   int      `help:"Viewers that come, leave at once, and come back." default:"18000"`
	Runs      int      `help:"Rounds; in each, every server runs once." default:"3"`
	Transport string   `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers     []string `help:"Only these (by name, comma-separated)."`
}

// connected is what it cost to let viewers in.
type connected struct {
	Peer                string
	Transport           load.Transport
	Viewers             int
	CPU                 float64 // µs of server and Redis a connection, each with its snapshot
	Seconds, BackWithin float64 // until all were served, the first time and after all left
	LeaveCPU            float64 // µs of the server a viewer that left
}

// Run measures what connections cost to make.
func (c *connectCase) Run(s *session) error {
	// Not the floor: it learns of viewers that left when it writes to them.
	peers, err := pick([]*peer.Peer{
		peer.Tallycast(), peer.Naive(), peer.CentrifugeDefault(), peer.CentrifugeBest(), peer.Nchan(), peer.SocketIO(),
	}, c.Peers)
	if err != nil {
		return err
	}
	return s.measured("connect", fmt.Sprintf("CPU a connection, %d viewers that come at once, %d runs", c.Viewers, c.Runs), func() error {
		cpu, first, back := figures{}, figures{}, figures{}
		for round := range c.Runs {
			for _, t := range transports(c.Transport) {
				for _, p := range peers {
					if !p.Serves(t) || s.ctx.Err() != nil {
						continue
					}
					s.say("round %d of %d: %s on %s", round+1, c.Runs, p.Name, t)
					s.with(p, func(server *peer.Server) error {
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
		table := s.report.Table("server", "transport", "µs a connection (min / median / max)", "all served, s", "all back after leaving, s")
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
	last, err := likers.One(0) // there is something to show
	if err != nil {
		return m, err
	}
	audience, err := load.NewAudience(load.Plan{Door: server.Door(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	enter := func() (seconds, cpu float64, err error) {
		before, err := server.CPU()
		if err != nil {
			return 0, 0, err
		}
		ctx, cancel := s.within(enterWithin)
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
	// All come back while the server still takes leave of them: that is what a
	// network that comes back does.
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
		// It has no snapshot to show: what it shows is the next change.
		if last, err = likers.One(0); err != nil {
			return m, err
		}
	}
	ctx, cancel := s.within(settleWithin)
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

// untilQuiet waits until the server has nothing left to do.
func (s *session) untilQuiet(server *peer.Server) error {
	ctx, cancel := s.within(settleWithin)
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
		// A tick of 10 ms in 300 is the rest of a server that does nothing.
		if now.Server-before.Server <= 10*time.Millisecond || ctx.Err() != nil {
			return nil
		}
		before = now
	}
	return err
}
