package main

import (
	"fmt"
	"os"

	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits of the time from start to ready and of the binary's size.
const (
	readyTarget = 300.0 // ms
	sizeTarget  = 25.0  // MB
)

type startCase struct {
	Runs int `help:"Starts of each." default:"10"`
}

// Run measures the time from start to ready, and the size of the binary.
func (c *startCase) Run(s *session) error {
	return s.runCase("start", fmt.Sprintf("From start to ready, %d starts", c.Runs), func() error {
		ready := figures{}
		peers := []*peer.Peer{peer.Tallycast(), peer.TallycastSQLite()}
		for round := range c.Runs {
			for _, p := range peers {
				s.progressf("round %d of %d: %s", round+1, c.Runs, p.Name)
				s.withServer(p, func(server *peer.Server) error {
					ms := micros(server.ReadyAfter) / 1000
					ready.add(p.Name, ms)
					return s.report.Record(map[string]any{"Peer": p.Name, "ReadyMs": ms})
				})
			}
		}
		table := s.report.Table("server", "ms until ready (min / median / max)")
		var bars []report.Bar
		for _, p := range peers {
			summary := measure.Summarise(ready[p.Name])
			table.Row(p.Name, spread(summary))
			bars = append(bars, report.Bar{Name: p.Name, Summary: summary, Ours: true})
			s.report.Target(report.Target{What: "start to ready, " + p.Name, Figure: summary.Median, Limit: readyTarget, Unit: "ms"})
		}
		s.report.Bars("ms from start to ready", bars)
		path, err := s.binary, error(nil)
		if path == "" {
			path, err = peer.Binary()
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		s.report.Target(report.Target{What: "the binary", Figure: float64(info.Size()) / 1e6, Limit: sizeTarget, Unit: "MB"})
		return s.ctx.Err()
	})
}
