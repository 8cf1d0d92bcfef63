package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
)

// enterWithin is how long all viewers may take to be let in.
const enterWithin = 3 * time.Minute

// settleWithin is how long the last number may take to everybody; far above what
// is promised, so that who misses it then misses it for good.
const settleWithin = 10 * time.Second

// leastShare is how many % of the changes each viewer must get, beside the last one:
// a value that a newer one replaces may be left out, which happens where the machine
// pauses, and a server that left out many would do another work than the others.
const leastShare = 90

// delivery says how changes are delivered to viewers.
type delivery struct {
	Viewers   int
	Topics    int // that change in turn
	PerViewer int // how many of them a viewer watches
	Rate      float64
	Duration  time.Duration
	// Settle is how long to wait before memory is read, for what is passing to be
	// given back; 0 where memory is of no interest.
	Settle time.Duration
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

// loopRate is how many changes a second one loop of likers can send.
const loopRate = 1000

// loops returns how many loops change topics at a rate: as few as can, each with
// the same number of topics for itself.
func (d delivery) loops() int {
	for n := int(math.Ceil(d.Rate / loopRate)); n < d.Topics; n++ {
		if d.Topics%n == 0 {
			return n
		}
	}
	return d.Topics
}

// pacer changes topics in turn at a steady rate.
type pacer struct {
	likers *load.Likers
	loops  int // divides the number of topics
	topics int
	gap    time.Duration // between two changes of one loop
	next   int
	finals []int64 // what each topic came to
}

func newPacer(likers *load.Likers, loops, topics int, rate float64) *pacer {
	return &pacer{
		likers: likers, loops: loops, topics: topics,
		gap:    time.Duration(float64(time.Second) / rate * float64(loops)),
		finals: make([]int64, topics),
	}
}

// run makes n changes, as near to it as loops divide it. Two changes of a loop are
// never nearer than the gap: one that is late delays those after it.
func (p *pacer) run(s *session, n int) error {
	each := max(n/p.loops, 1)
	loops, ctx := errgroup.WithContext(s.ctx)
	for loop := range p.loops {
		loops.Go(func() error {
			tick := time.NewTimer(p.gap)
			defer tick.Stop()
			for i := range each {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
				}
				tick.Reset(p.gap)
				topic := (p.next + i*p.loops + loop) % p.topics
				ack, err := p.likers.OneOf(loop, topic)
				if err != nil {
					return err
				}
				p.finals[topic] = ack.Final()
			}
			return nil
		})
	}
	err := loops.Wait()
	p.next += each * p.loops
	return err
}

// deliver measures what deliveries cost a server that was just started. bare also
// measures the changes alone, before anybody watches.
func (s *session) deliver(server *peer.Server, transport load.Transport, d delivery, bare bool) (out delivered, err error) {
	out = delivered{delivery: d, Peer: server.Peer.Name, Transport: transport}
	likers, err := server.Likers(load.Concurrency{Loops: d.loops()})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	pace := newPacer(likers, d.loops(), d.Topics, d.Rate)
	changes := max(int(d.Rate*d.Duration.Seconds()), d.Topics)
	changes -= changes % d.Topics // each topic changes as often as the others

	// Every topic exists, and what is done once is done, before anything is measured.
	warm := newPacer(likers, d.loops(), d.Topics, loopRate)
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
	if err := s.wait(d.Settle); err != nil {
		return out, err
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
	if err := s.wait(d.Settle); err != nil {
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
	return out, errors.Join(missed, got.Check(changes/d.Topics*d.PerViewer*leastShare/100), s.report.Record(out))
}

func (d delivered) String() string {
	return fmt.Sprintf("%s on %s: %.2f µs a delivery", d.Peer, d.Transport, d.PerDelivery)
}
