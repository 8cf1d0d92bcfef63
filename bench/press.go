package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// pressedTarget is the time from the last like until all are acknowledged.
const pressedTarget = 1000.0 // ms

type pressCase struct {
	Viewers int           `help:"Viewers of one topic, on WebSockets." default:"5000"`
	Within  time.Duration `help:"Time in which all of them like it." default:"1s"`
	Runs    int           `help:"Rounds." default:"3"`
}

// pressed is the result of one round.
type pressed struct {
	Viewers    int
	Answered   float64 // ms from the last like to the last acknowledgement
	P50, P99   float64 // ms until a like was acknowledged
	Shown      float64 // ms from the last acknowledgement until all viewers show the final number
	CPUPerLike float64 // µs of server and Redis, with the frames to all viewers
}

// Run makes all viewers of a topic like it over their sockets.
func (c *pressCase) Run(s *session) error {
	if c.Viewers > load.PerProcess {
		return fmt.Errorf("--viewers: at most %d, because they need one clock", load.PerProcess)
	}
	p := peer.Tallycast()
	return s.runCase("press", fmt.Sprintf("All of %d viewers like what they watch within %v, over their sockets, %d runs", c.Viewers, c.Within, c.Runs), func() error {
		table := s.report.Table("round", "last answer after the last like, ms", "p50 ms", "p99 ms", "final number after, ms", "µs a like with its frames")
		worst := 0.0
		for round := range c.Runs {
			if s.ctx.Err() != nil {
				break
			}
			s.progressf("round %d of %d", round+1, c.Runs)
			s.withServer(p, func(server *peer.Server) error {
				m, err := c.measure(s, server)
				if err != nil {
					return err
				}
				worst = max(worst, m.Answered)
				table.Row(round+1, m.Answered, m.P50, m.P99, m.Shown, m.CPUPerLike)
				return s.report.Record(m)
			})
		}
		s.report.Target(report.Target{What: "all likes acknowledged after the last one, worst run", Figure: worst, Limit: pressedTarget, Unit: "ms"})
		return s.ctx.Err()
	})
}

func (c *pressCase) measure(s *session, server *peer.Server) (m pressed, err error) {
	m.Viewers = c.Viewers
	crowd, err := load.NewCrowd(load.Plan{Endpoint: server.Endpoint(load.WebSocket), Viewers: c.Viewers, Topics: 1, PerViewer: 1})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, crowd.Close()) }()
	opening, cancel := s.timeout(enterWithin)
	defer cancel()
	if err := crowd.Open(opening); err != nil {
		return m, err
	}
	before, err := server.CPU()
	if err != nil {
		return m, err
	}
	pressing, cancel := s.timeout(settleWithin)
	defer cancel()
	got, err := crowd.Press(pressing, c.Within, peer.Assertion)
	if err != nil {
		return m, err
	}
	if err := crowd.Await(pressing, []int64{int64(c.Viewers)}); err != nil {
		return m, err
	}
	after, err := server.CPU()
	if err != nil {
		return m, err
	}
	seen := crowd.Report()
	cost := after.Sub(before)
	slices.Sort(got.Latencies)
	at := func(quantile float64) float64 {
		return float64(got.Latencies[int(quantile*float64(len(got.Latencies)-1))]) / 1e6
	}
	m.Answered, m.P50, m.P99 = float64(max(0, got.LastSeen-got.LastPress))/1e6, at(0.5), at(0.99)
	m.Shown = float64(max(0, seen.LastFrame-got.LastSeen)) / 1e6
	m.CPUPerLike = micros(cost.Server+cost.Redis) / float64(c.Viewers)
	if got.Answered != c.Viewers || seen.Live != c.Viewers || seen.Lost > 0 || seen.Malformed > 0 || seen.Decreased > 0 {
		err = fmt.Errorf("%d of %d likes were acknowledged, %d viewers are connected: %+v", got.Answered, c.Viewers, seen.Live, seen.Problems)
	}
	return m, err
}
