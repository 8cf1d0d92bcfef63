package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits in a storm: frames of the topic to one viewer within a second, the time from the
// last acknowledgement until all viewers show the final number, likes a second relative to
// those without viewers, and the age of a number on a screen. A second has 20 gaps of 50 ms,
// hence 21 frames.
const (
	framesTarget = 21
	settleTarget = 250.0 // ms
	rateTarget   = 0.5
	ageTarget    = 500.0 // ms
)

type stormCase struct {
	Viewers     int           `help:"Viewers of one topic." default:"5000"`
	Connections int           `help:"Likes in flight." default:"64"`
	Duration    time.Duration `help:"Time of the likes in each run." default:"10s"`
	Runs        int           `help:"Rounds; every server runs once in each." default:"3"`
	Transport   string        `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers       []string      `help:"Only these peers (names, comma-separated)."`
}

// stormed is the result of a storm.
type stormed struct {
	Peer          string
	Transport     load.Transport
	Alone, Rate   float64 // likes a second without and with viewers
	Frames        float64 // a second, of the viewer that received most
	Busiest       int     // most frames of a viewer within one second
	Settled       float64 // ms from the last acknowledgement until all viewers show the final number
	Oldest        float64 // ms, the age of the oldest number on any screen
	Back          int64   // frames with an older number than the one before
	Behind        bool    // a viewer never showed the final number
	CPUPerLike    float64 // µs of server and Redis while viewers watch
	CPUPerFrame   float64
	FramesInTotal int64
}

// Run measures storms.
func (c *stormCase) Run(s *session) error {
	peers, err := selectPeers([]*peer.Peer{
		peer.Tallycast(), peer.Naive(), peer.CentrifugeDefault(), peer.CentrifugeBest(), peer.Nchan(), peer.SocketIO(),
	}, c.Peers)
	if err != nil {
		return err
	}
	if c.Viewers > load.PerProcess {
		return fmt.Errorf("--viewers: at most %d, because viewers and likes need one clock", load.PerProcess)
	}
	return s.runCase("storm", fmt.Sprintf("A like storm, %d viewers, %d likes in flight, %d runs", c.Viewers, c.Connections, c.Runs), func() error {
		all := map[string][]stormed{}
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
						all[name(p, t)] = append(all[name(p, t)], m)
						return s.report.Record(m)
					})
				}
			}
		}
		c.report(s, peers, all)
		return s.ctx.Err()
	})
}

func (c *stormCase) report(s *session, peers []*peer.Peer, all map[string][]stormed) {
	table := s.report.Table("server", "transport", "likes/s without viewers", "likes/s with viewers", "frames/s a viewer", "busiest second", "final number after, ms", "oldest number, ms", "went back", "final missed")
	var bars []report.Bar
	for _, t := range transports(c.Transport) {
		for _, p := range peers {
			runs := all[name(p, t)]
			if len(runs) == 0 {
				continue
			}
			of := func(value func(stormed) float64) measure.Summary {
				var values []float64
				for _, m := range runs {
					values = append(values, value(m))
				}
				return measure.Summarise(values)
			}
			var back int64
			missed := 0
			for _, m := range runs {
				back += m.Back
				if m.Behind {
					missed++
				}
			}
			kept := of(func(m stormed) float64 { return m.Rate / m.Alone })
			busiest := of(func(m stormed) float64 { return float64(m.Busiest) })
			settled := of(func(m stormed) float64 { return m.Settled })
			oldest := of(func(m stormed) float64 { return m.Oldest })
			table.Row(p.Name, t, of(func(m stormed) float64 { return m.Alone }).Median, of(func(m stormed) float64 { return m.Rate }).Median,
				of(func(m stormed) float64 { return m.Frames }).Median, busiest.Max, settled.Max, oldest.Max, back, fmt.Sprintf("%d of %d runs", missed, len(runs)))
			bars = append(bars, report.Bar{Name: name(p, t), Summary: oldest, Ours: p.Name == "tallycast"})
			if p.Name == "tallycast" {
				s.report.Target(report.Target{What: fmt.Sprintf("frames within a second on %s, worst run", t), Figure: busiest.Max, Limit: framesTarget})
				s.report.Target(report.Target{What: fmt.Sprintf("final number everywhere on %s, worst run", t), Figure: settled.Max, Limit: settleTarget, Unit: "ms"})
				s.report.Target(report.Target{What: fmt.Sprintf("likes a second, relative to those without viewers, %s", t), Figure: kept.Median, Limit: rateTarget, Unit: "×", AtLeast: true})
				s.report.Target(report.Target{What: fmt.Sprintf("oldest number on a screen on %s, worst run", t), Figure: oldest.Max, Limit: ageTarget, Unit: "ms"})
			}
		}
	}
	s.report.Bars("ms, the oldest number on any screen", bars)
}

// measure measures one storm on a server that was just started.
func (c *stormCase) measure(s *session, server *peer.Server, t load.Transport) (m stormed, err error) {
	m = stormed{Peer: server.Peer.Name, Transport: t}
	likers, err := server.Likers(load.Concurrency{Loops: c.Connections})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	if _, err := likers.Run(s.ctx, load.Job{Topics: 1, For: c.Duration / 5}); err != nil { // the first likes are slower
		return m, err
	}
	alone, err := likers.Run(s.ctx, load.Job{Topics: 1, For: c.Duration})
	if err != nil {
		return m, err
	}
	m.Alone = alone.Rate()
	audience, err := load.NewAudience(load.Plan{Endpoint: server.Endpoint(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1, Record: true})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.timeout(enterWithin)
	defer cancel()
	if err := audience.Open(ctx); err != nil {
		return m, err
	}
	// One like makes all viewers show the same number, from which ages are measured.
	first, err := likers.One(0)
	if err != nil {
		return m, err
	}
	settle := func(finals []int64) error {
		ctx, cancel := s.timeout(settleWithin)
		defer cancel()
		return audience.Await(ctx, finals)
	}
	if err := errors.Join(settle([]int64{first.Final()}), audience.Reset(s.ctx)); err != nil {
		return m, err
	}
	before, err := server.CPU()
	if err != nil {
		return m, err
	}
	result, err := likers.Run(s.ctx, load.Job{Topics: 1, For: c.Duration, Keep: true})
	if err != nil {
		return m, err
	}
	acks := newTimeline(first.Final(), result.Acks)
	missed := settle([]int64{acks.final()})
	end := load.Clock()
	after, err := server.CPU()
	if err != nil {
		return m, err
	}
	got, err := audience.Report(s.ctx)
	if err != nil {
		return m, err
	}
	cost := after.Sub(before)
	m.Rate, m.FramesInTotal, m.Busiest, m.Back = result.Rate(), got.Frames, got.Busiest, got.Decreased
	m.Frames = float64(got.Most) / result.Elapsed.Seconds()
	m.Settled = math.Max(0, float64(got.LastFrame-acks.last)/1e6)
	m.Oldest = acks.oldest(got.Events) / 1e6
	if m.Behind = missed != nil; m.Behind {
		m.Settled = float64(end-acks.last) / 1e6
		m.Oldest = math.Max(m.Oldest, m.Settled)
	}
	m.CPUPerLike = micros(cost.Server+cost.Redis) / float64(result.Likes)
	m.CPUPerFrame = micros(cost.Server+cost.Redis) / float64(got.Frames)
	if server.Peer.Name != peer.Tallycast().Name {
		return m, nil // losses of peers in a storm are a figure
	}
	return m, errors.Join(missed, got.Check(1))
}
