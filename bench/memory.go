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

// Limits of an idle viewer: resident memory on each transport, a second and lower limit on
// WebSocket, and the CPU time of all viewers.
const (
	sseTarget     = 1.5 // KB
	wsTarget      = 8.0 // KB
	wsLowTarget   = 3.0 // KB
	idleCPUTarget = 2.0 // % of a core
)

type memoryCase struct {
	Viewers   int           `help:"Idle viewers of one topic." default:"18000"`
	Idle      time.Duration `help:"Time that viewers idle; the default covers two heartbeats of 25 s." default:"60s"`
	Settle    time.Duration `help:"Time before the idle measurement, so that garbage of connecting is returned." default:"20s"`
	Transport string        `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers     []string      `help:"Only these peers (names, comma-separated)."`
	Likes     int64         `help:"Likes to store in Redis; 0 for none." default:"1000000"`
	Topics    int           `help:"Topics over which the likes spread in the second run." default:"10000"`
}

// idling is the cost of idle viewers.
type idling struct {
	Peer      string
	Transport load.Transport
	Viewers   int
	// Resident bytes a viewer: when all are connected, after settling, and at the end;
	// and the part of the last that is not shared.
	AtOnce, Settled, End, Proportional float64
	IdleCPU                            float64 // % of a core, server only
}

// Run measures the cost of idle viewers and of stored likes.
func (c *memoryCase) Run(s *session) error {
	peers, err := selectPeers(s.withBaseline([]*peer.Peer{
		peer.Tallycast(), peer.Naive(), peer.CentrifugeDefault(), peer.CentrifugeBest(), peer.Nchan(), peer.SocketIO(),
	}), c.Peers)
	if err != nil {
		return err
	}
	return s.runCase("memory", fmt.Sprintf("Resident memory a viewer, %d idle viewers of one topic", c.Viewers), func() error {
		table := s.report.Table("server", "transport", "KB a viewer, at once", "settled", "after idling", "not shared (PSS)", "idle CPU, % of a core")
		var bars []report.Bar
		for _, t := range transports(c.Transport) {
			for _, p := range peers {
				if !p.Serves(t) || s.ctx.Err() != nil {
					continue
				}
				s.withServer(p, func(server *peer.Server) error {
					i, err := c.idle(s, server, t)
					if err != nil {
						return err
					}
					table.Row(p.Name, t, i.AtOnce/1024, i.Settled/1024, i.End/1024, i.Proportional/1024, i.IdleCPU)
					bars = append(bars, report.Bar{Name: name(p, t), Summary: measure.Summarise([]float64{i.End / 1024}), Ours: p.Name == "tallycast"})
					if p.Name == "tallycast" {
						c.targets(s, t, i)
					}
					return s.report.Record(i)
				})
			}
		}
		s.report.Bars("KB resident a viewer", bars)
		if c.Likes > 0 {
			return errors.Join(c.store(s), s.ctx.Err())
		}
		return s.ctx.Err()
	})
}

func (c *memoryCase) targets(s *session, t load.Transport, i idling) {
	limit := sseTarget
	if t == load.WebSocket {
		limit = wsTarget
		s.report.Target(report.Target{What: "an idle viewer on ws, second limit", Figure: i.End / 1024, Limit: wsLowTarget, Unit: "KB"})
	}
	s.report.Target(report.Target{What: fmt.Sprintf("an idle viewer on %s", t), Figure: i.End / 1024, Limit: limit, Unit: "KB"})
	s.report.Target(report.Target{What: fmt.Sprintf("idle CPU with %d viewers on %s", i.Viewers, t), Figure: i.IdleCPU, Limit: idleCPUTarget, Unit: "% of a core"})
}

// idle measures idle viewers.
func (c *memoryCase) idle(s *session, server *peer.Server, t load.Transport) (i idling, err error) {
	i = idling{Peer: server.Peer.Name, Transport: t, Viewers: c.Viewers}
	likers, err := server.Likers(load.Concurrency{Loops: 1})
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	pace := newPacer(likers, 1, 1, 100)
	if err := pace.run(s, 100); err != nil { // allocations of the first requests are not those of viewers
		return i, err
	}
	before, err := server.Processes.Usage()
	if err != nil {
		return i, err
	}
	audience, err := load.NewAudience(load.Plan{Endpoint: server.Endpoint(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1})
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	s.progressf("%s on %s: connecting %d viewers", i.Peer, t, c.Viewers)
	ctx, cancel := s.timeout(enterWithin)
	defer cancel()
	if err := audience.Open(ctx); err != nil {
		return i, err
	}
	var usage [3]measure.Usage
	for k, wait := range []time.Duration{0, c.Settle, c.Idle} {
		s.progressf("%s on %s: waiting %v", i.Peer, t, wait)
		if err := s.wait(wait); err != nil {
			return i, err
		}
		if usage[k], err = server.Processes.Usage(); err != nil {
			return i, err
		}
	}
	each := func(u measure.Usage) float64 { return float64(u.RSS-before.RSS) / float64(c.Viewers) }
	i.AtOnce, i.Settled, i.End = each(usage[0]), each(usage[1]), each(usage[2])
	i.Proportional = float64(usage[2].PSS-before.PSS) / float64(c.Viewers)
	i.IdleCPU = 100 * (usage[2].CPU - usage[1].CPU).Seconds() / c.Idle.Seconds()

	// The viewers are still connected: the next change reaches all of them.
	if err := pace.run(s, 1); err != nil {
		return i, err
	}
	ctx, end := s.timeout(settleWithin)
	defer end()
	if err := audience.Await(ctx, pace.finals); err != nil {
		return i, err
	}
	got, err := audience.Report(s.ctx)
	if err != nil {
		return i, err
	}
	return i, got.Check(1)
}
