package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
)

// enterWithin is how long all viewers may take to be let in.
const enterWithin = 3 * time.Minute

// settleWithin is how long the last number may take to everybody; far above what
// is promised, so that who misses it then misses it for good.
const settleWithin = 10 * time.Second

// delivery says how changes are delivered to viewers.
type delivery struct {
	Viewers   int
	Topics    int // that change in turn
	PerViewer int // how many of them a viewer watches
	Rate      float64
	Duration  time.Duration
}

// delivered is what it cost.
type delivered struct {
	delivery
	Peer      string
	Transport load.Transport
	Changes   int
	Frames    int64
	// PerDelivery is the CPU time of server and Redis for a frame that a viewer
	// got, PerChange what a change takes with nobody watching; both in µs.
	PerDelivery, PerChange float64
	// Net is PerDelivery less the changes' own share.
	Net             float64
	RSSBefore, RSS  int64 // bytes, before the viewers came and after all was delivered
	PSSBefore, PSS  int64
	Enter           time.Duration // until all viewers were let in
	ServerCPU       time.Duration
	RedisCPU        time.Duration
	FewestPerViewer int
}

// MemoryPerViewer is in bytes.
func (d delivered) MemoryPerViewer() float64 { return float64(d.RSS-d.RSSBefore) / float64(d.Viewers) }

// pacer changes topics in turn at a steady rate.
type pacer struct {
	likers *load.Likers
	topics int
	gap    time.Duration
	next   int
	finals []int64 // what each topic came to
}

func newPacer(likers *load.Likers, topics int, rate float64) *pacer {
	return &pacer{likers: likers, topics: topics, gap: time.Duration(float64(time.Second) / rate), finals: make([]int64, topics)}
}

// run makes n changes. Two changes are never nearer than the gap: one that is
// late delays those after it.
func (p *pacer) run(s *session, n int) error {
	tick := time.NewTimer(p.gap)
	defer tick.Stop()
	for range n {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
		tick.Reset(p.gap)
		topic := p.next % p.topics
		p.next++
		ack, err := p.likers.One(topic)
		if err != nil {
			return err
		}
		p.finals[topic] = ack.Final()
	}
	return nil
}

// deliver measures what deliveries cost a server that was just started. bare also
// measures the changes alone, before anybody watches.
func (s *session) deliver(server *peer.Server, transport load.Transport, d delivery, bare bool) (out delivered, err error) {
	out = delivered{delivery: d, Peer: server.Peer.Name, Transport: transport}
	likers, err := server.Likers(s.ctx, load.Concurrency{Loops: 1})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	pace := newPacer(likers, d.Topics, d.Rate)
	changes := max(int(d.Rate*d.Duration.Seconds()), d.Topics)
	changes -= changes % d.Topics // each topic changes as often as the others

	// Every topic exists, and what is done once is done, before anything is measured.
	warm := newPacer(likers, d.Topics, 1000)
	if err := warm.run(s, max(d.Topics, 20)); err != nil {
		return out, err
	}
	pace.finals = warm.finals
	if bare {
		before, err := server.CPU()
		if err == nil {
			err = pace.run(s, changes)
		}
		if err != nil {
			return out, err
		}
		after, err := server.CPU()
		if err != nil {
			return out, err
		}
		cost := after.Sub(before)
		out.PerChange = micros(cost.Server+cost.Redis) / float64(changes)
	}
	empty, err := server.Processes.Usage()
	if err != nil {
		return out, err
	}
	out.RSSBefore, out.PSSBefore = empty.RSS, empty.PSS

	audience, err := load.NewAudience(load.Plan{Door: server.Door(transport), Viewers: d.Viewers, Topics: d.Topics, PerViewer: d.PerViewer})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.within(enterWithin)
	defer cancel()
	began := time.Now()
	if err := audience.Open(ctx); err != nil {
		return out, err
	}
	out.Enter = time.Since(began)
	settle := func() error {
		ctx, cancel := s.within(settleWithin)
		defer cancel()
		return audience.Await(ctx, pace.finals)
	}
	// The first round of deliveries grows buffers and warms caches.
	if err := pace.run(s, max(d.Topics, int(d.Rate))); err != nil {
		return out, err
	}
	if err := errors.Join(settle(), audience.Reset(s.ctx)); err != nil {
		return out, err
	}
	before, err := server.CPU()
	if err != nil {
		return out, err
	}
	if err := pace.run(s, changes); err != nil {
		return out, err
	}
	missed := settle()
	after, err := server.CPU()
	if err != nil {
		return out, err
	}
	full, err := server.Processes.Usage()
	if err != nil {
		return out, err
	}
	got, err := audience.Report(s.ctx)
	if err != nil {
		return out, err
	}
	cost := after.Sub(before)
	out.Changes, out.Frames, out.FewestPerViewer = changes, got.Frames, got.Fewest
	out.ServerCPU, out.RedisCPU = cost.Server, cost.Redis
	out.RSS, out.PSS = full.RSS, full.PSS
	out.PerDelivery = micros(cost.Server+cost.Redis) / float64(got.Frames)
	out.Net = out.PerDelivery - out.PerChange*float64(changes)/float64(got.Frames)
	return out, errors.Join(missed, got.Check(changes/d.Topics*d.PerViewer), s.report.Record(out))
}

func (d delivered) String() string {
	return fmt.Sprintf("%s on %s: %.2f µs a delivery", d.Peer, d.Transport, d.PerDelivery)
}
