package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits of the time from a like to the frame, in ms.
const (
	p50Target = 5.0
	p99Target = 25.0
)

type latencyCase struct {
	Viewers   int      `help:"Viewers on the second instance." default:"100"`
	Rate      float64  `help:"Likes a second on the first." default:"5"`
	Likes     int      `help:"Likes a run." default:"100"`
	Runs      int      `help:"Rounds; every server runs once in each." default:"3"`
	Transport string   `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers     []string `help:"Only these peers (names, comma-separated)."`
}

// Run measures the time from a like to the frames of viewers.
func (c *latencyCase) Run(s *session) error {
	peers, err := selectPeers([]*peer.Peer{peer.Tallycast(), peer.Naive(), peer.SocketIO()}, c.Peers)
	if err != nil {
		return err
	}
	return s.runCase("latency", fmt.Sprintf("Like to screen, %d viewers on a second instance, %g likes a second", c.Viewers, c.Rate), func() error {
		all := map[string]*hdrhistogram.Histogram{}
		for round := range c.Runs {
			for _, t := range transports(c.Transport) {
				for _, p := range peers {
					if !p.Serves(t) || s.ctx.Err() != nil {
						continue
					}
					s.progressf("round %d of %d: %s on %s", round+1, c.Runs, p.Name, t)
					h, err := c.measure(s, p, t)
					s.recordFailure(name(p, t), err)
					if h == nil {
						continue
					}
					if all[name(p, t)] == nil {
						all[name(p, t)] = load.NewHistogram()
					}
					all[name(p, t)].Merge(h)
				}
			}
		}
		table := s.report.Table("server", "transport", "p50 ms", "p90 ms", "p99 ms", "max ms")
		var bars []report.Bar
		for _, t := range transports(c.Transport) {
			for _, p := range peers {
				h := all[name(p, t)]
				if h == nil {
					continue
				}
				at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
				table.Row(p.Name, t, at(50), at(90), at(99), float64(h.Max())/1000)
				bars = append(bars, report.Bar{Name: name(p, t), Summary: measure.Summary{Min: at(50), Median: at(50), Max: at(99)}, Ours: p.Name == "tallycast"})
				if p.Name == "tallycast" {
					s.report.Target(report.Target{What: fmt.Sprintf("like to screen on %s, p50", t), Figure: at(50), Limit: p50Target, Unit: "ms"})
					s.report.Target(report.Target{What: fmt.Sprintf("like to screen on %s, p99", t), Figure: at(99), Limit: p99Target, Unit: "ms"})
				}
			}
		}
		s.report.Bars("ms from like to screen: p50, and up to p99", bars)
		return s.ctx.Err()
	})
}

// measure sends likes to one instance while viewers watch another, both on one Redis.
func (c *latencyCase) measure(s *session, p *peer.Peer, t load.Transport) (h *hdrhistogram.Histogram, err error) {
	first, err := s.start(p, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, first.Stop()) }()
	second, err := s.start(p, first.Redis)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, second.Stop()) }()
	h, err = c.between(s, first, second, t)
	if h == nil {
		return nil, err
	}
	return h, errors.Join(err, s.report.Record(map[string]any{
		"Peer": p.Name, "Transport": t, "P50": h.ValueAtQuantile(50), "P99": h.ValueAtQuantile(99), "Max": h.Max(), "Unit": "µs",
	}))
}

// between sends likes to the first server while viewers watch the second.
func (c *latencyCase) between(s *session, first, second *peer.Server, t load.Transport) (h *hdrhistogram.Histogram, err error) {
	likers, err := first.Likers(load.Concurrency{Loops: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	audience, err := load.NewAudience(load.Plan{Endpoint: second.Endpoint(t), Viewers: c.Viewers, Topics: 1, PerViewer: 1, Record: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.timeout(enterWithin)
	defer cancel()
	if err := audience.Open(ctx); err != nil {
		return nil, err
	}
	if _, err := likers.One(0); err != nil { // the first request opens connections
		return nil, err
	}
	if err := s.wait(time.Second / 2); err != nil { // until the system is idle again
		return nil, err
	}
	if err := audience.Reset(s.ctx); err != nil {
		return nil, err
	}
	sent := map[int64]int64{}
	var last int64
	gap := time.Duration(float64(time.Second) / c.Rate)
	for range c.Likes {
		ack, err := likers.One(0)
		if err != nil {
			return nil, err
		}
		last = ack.Final()
		sent[last] = ack.Sent
		if err := s.wait(gap); err != nil {
			return nil, err
		}
	}
	ctx, end := s.timeout(settleWithin)
	defer end()
	missed := audience.Await(ctx, []int64{last})
	got, err := audience.Report(s.ctx)
	if err != nil {
		return nil, err
	}
	h = load.NewHistogram()
	for _, e := range got.Events {
		if from, ok := sent[e.Count]; ok {
			if err := h.RecordValue((e.At - from) / int64(time.Microsecond)); err != nil {
				return nil, fmt.Errorf("a like took %v: %w", time.Duration(e.At-from), err)
			}
		}
	}
	// The system is idle, so each like has its own frame.
	return h, errors.Join(missed, got.Check(c.Likes))
}
