package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// flatTarget is the limit of the difference from the reference, as a share.
const flatTarget = 0.2

// busy is the number of deliveries a second, half of what two cores can deliver. Rates
// follow from it: at least changesLeast changes a second, at most changesMost, and at most
// topicMost of one topic, half as many as --flush-interval allows frames.
const (
	busy         = 45_000
	changesLeast = 1.0
	changesMost  = 4000.0
	topicMost    = 10.0
)

type growthCase struct {
	Viewers   []int         `help:"Numbers of viewers, on one topic." default:"1000,5000,18000"`
	Topics    []int         `help:"Numbers of topics, with the most viewers." default:"1,100,1000"`
	PerViewer []int         `help:"Topics a viewer, with the most viewers and topics." default:"1,50"`
	Duration  time.Duration `help:"Time of each measurement." default:"10s"`
	Settle    time.Duration `help:"Time before memory is read, so that garbage is returned." default:"25s"`
	Runs      int           `help:"Rounds." default:"3"`
	Transport string        `help:"sse, ws or both." enum:"sse,ws,both" default:"sse"`
}

// size is the size of one measurement.
type size struct {
	viewers, topics, viewed int
}

// point is a size with its place in the plot. A size may be on several lines.
type point struct {
	size
	line string
	x    int
}

func (p size) String() string {
	return fmt.Sprintf("%d viewers, %d topics, %d a viewer", p.viewers, p.topics, p.viewed)
}

// rate returns the changes a second that keep the server busy but not overloaded.
func (p size) rate() float64 {
	perChange := float64(p.viewers) * float64(p.viewed) / float64(p.topics)
	return max(changesLeast, min(busy/perChange, changesMost, topicMost*float64(p.topics)))
}

func (c *growthCase) points() (all []point) {
	// With the most viewers the cost of deliveries is large relative to that of the change.
	crowd, most := c.Viewers[len(c.Viewers)-1], c.Topics[len(c.Topics)-1]
	for _, n := range c.Viewers {
		all = append(all, point{size{n, 1, 1}, "viewers", n})
	}
	for _, n := range c.Topics {
		all = append(all, point{size{crowd, n, 1}, "topics", n})
	}
	for _, n := range c.PerViewer {
		all = append(all, point{size{crowd, most, n}, "topics a viewer", n})
	}
	return all
}

// Run measures how costs grow.
func (c *growthCase) Run(s *session) error {
	if len(c.Viewers) == 0 || len(c.Topics) == 0 || len(c.PerViewer) == 0 {
		return fmt.Errorf("--viewers, --topics and --per-viewer need at least one number each")
	}
	return s.runCase("growth", "CPU a further delivery of a change as viewers, topics, and topics a viewer grow", func() error {
		cpu, memory := figures{}, figures{}
		key := func(t load.Transport, p size) string { return fmt.Sprintf("%s %s", t, p) }
		sizes := []size{{c.Viewers[len(c.Viewers)/2], 1, 1}} // the first is the reference
		for _, p := range c.points() {
			if !slices.Contains(sizes, p.size) {
				sizes = append(sizes, p.size)
			}
		}
		for round := range c.Runs {
			for _, t := range transports(c.Transport) {
				for _, p := range sizes {
					if s.ctx.Err() != nil {
						break
					}
					s.progressf("round %d of %d: %s on %s", round+1, c.Runs, p, t)
					s.withServer(peer.Tallycast(), func(server *peer.Server) error {
						d, err := s.deliver(server, t, delivery{p.viewers, p.topics, p.viewed, p.rate(), c.Duration, c.Settle}, true)
						if d.Frames > 0 {
							cpu.add(key(t, p), d.Further)
							memory.add(key(t, p), d.MemoryPerViewer()/1024)
						}
						return err
					})
				}
			}
		}
		table := s.report.Table("transport", "viewers", "topics", "topics a viewer", "changes a second", "µs a further delivery", "KB a viewer")
		lines := map[string]*report.Line{}
		var plotted []report.Line
		for _, t := range transports(c.Transport) {
			reference := key(t, sizes[0])
			for _, p := range sizes {
				at := key(t, p)
				if len(cpu[at]) == 0 {
					continue
				}
				table.Row(t, p.viewers, p.topics, p.viewed, p.rate(), cpu.median(at), memory.median(at))
				if at == reference {
					continue
				}
				checkFlat := func(what string, f figures) {
					s.report.Target(report.Target{
						What:   fmt.Sprintf("%s on %s with %s, away from flat", what, t, p),
						Figure: math.Abs(f.median(at)/f.median(reference) - 1), Limit: flatTarget, Unit: "as a share",
					})
				}
				checkFlat("CPU a further delivery", cpu)
				checkFlat("memory a viewer", memory)
			}
			for _, p := range c.points() {
				at, who := key(t, p.size), fmt.Sprintf("%s, %s", p.line, t)
				if len(cpu[at]) == 0 {
					continue
				}
				if lines[who] == nil {
					lines[who] = &report.Line{Name: who}
				}
				lines[who].X = append(lines[who].X, float64(p.x))
				lines[who].Y = append(lines[who].Y, cpu.median(at))
			}
			for _, line := range []string{"viewers", "topics", "topics a viewer"} {
				if l := lines[fmt.Sprintf("%s, %s", line, t)]; l != nil {
					plotted = append(plotted, *l)
				}
			}
		}
		s.report.Lines("how many", "µs of CPU a delivery", plotted)
		return s.ctx.Err()
	})
}
