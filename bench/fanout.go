package main

import (
	"fmt"
	"time"

	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// fanoutTarget is the limit of a delivery's cost, relative to write(2).
const fanoutTarget = 1.25

type fanoutCase struct {
	Viewers   int           `help:"Viewers of one topic." default:"5000"`
	Rate      float64       `help:"Changes a second." default:"10"`
	Duration  time.Duration `help:"Time of each measurement." default:"10s"`
	Runs      int           `help:"Rounds; every server runs once in each." default:"5"`
	Transport string        `help:"sse, ws or both." enum:"sse,ws,both" default:"both"`
	Peers     []string      `help:"Only these peers (names, comma-separated)."`
}

// Run measures the cost of a delivery.
func (c *fanoutCase) Run(s *session) error {
	peers, err := selectPeers(s.withBaseline([]*peer.Peer{
		peer.Floor(), peer.Tallycast(), peer.TallycastChoices(), peer.Naive(), peer.CentrifugeDefault(), peer.CentrifugeBest(), peer.Nchan(), peer.SocketIO(),
	}), c.Peers)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("CPU a delivery, %d viewers of one topic, %g changes a second, %d runs", c.Viewers, c.Rate, c.Runs)
	return s.runCase("fanout", title, func() error {
		cost := figures{}
		for round := range c.Runs {
			for _, t := range transports(c.Transport) {
				for _, p := range peers {
					if !p.Serves(t) || s.ctx.Err() != nil {
						continue
					}
					s.progressf("round %d of %d: %s on %s", round+1, c.Runs, p.Name, t)
					s.withServer(p, func(server *peer.Server) error {
						d, err := s.deliver(server, t, delivery{Viewers: c.Viewers, Topics: 1, PerViewer: 1, Rate: c.Rate, Duration: c.Duration}, false)
						if d.Frames > 0 {
							cost.add(name(p, t), d.PerDelivery)
							s.progressf("%s", d)
						}
						return err
					})
				}
			}
		}
		c.report(s, peers, cost)
		return s.ctx.Err()
	})
}

func (c *fanoutCase) report(s *session, peers []*peer.Peer, cost figures) {
	table := s.report.Table("server", "transport", "µs a delivery (min / median / max)", "× write(2)")
	var bars []report.Bar
	for _, t := range transports(c.Transport) {
		floor := name(peer.Floor(), t)
		for _, p := range peers {
			who := name(p, t)
			if len(cost[who]) == 0 {
				continue
			}
			summary := measure.Summarise(cost[who])
			table.Row(p.Name, t, spread(summary), cost.ratio(who, floor))
			bars = append(bars, report.Bar{Name: who, Summary: summary, Ours: p.Name == "tallycast"})
		}
		us := name(peer.Tallycast(), t)
		s.report.Target(report.Target{What: fmt.Sprintf("a delivery on %s, beside write(2)", t), Figure: cost.ratio(us, floor), Limit: fanoutTarget, Unit: "×"})
		for _, p := range peers {
			if who := name(p, t); len(cost[who]) > 0 && who != floor && !p.IsTallycast() {
				s.report.Target(report.Target{What: fmt.Sprintf("a delivery on %s, beside %s", t, p.Name), Figure: cost.ratio(us, who), Limit: 1, Unit: "×"})
			}
		}
	}
	s.report.Bars("µs of CPU a delivery", bars)
}
