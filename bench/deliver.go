package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
)

// enterWithin is the time for all viewers to connect.
const enterWithin = 3 * time.Minute

// settleWithin is the time for the last number to reach all viewers: far longer than
// promised, so that a viewer without it has lost it.
const settleWithin = 10 * time.Second

// leastShare is the percentage of changes that each viewer must receive, beside the last
// one. A server may skip a value that a newer one replaces, which happens if the machine
// pauses; a server that skipped many would do less work than the others.
const leastShare = 90

// delivery describes a measurement of deliveries.
type delivery struct {
	Viewers   int
	Topics    int // changed in turn
	PerViewer int // topics that a viewer watches
	Rate      float64
	Duration  time.Duration
	// Settle is the time before memory is read, so that garbage is returned; 0 if memory is
	// not measured.
	Settle time.Duration
}

// delivered is the result of a delivery.
type delivered struct {
	delivery
	Peer      string
	Transport load.Transport
	Changes   int
	Frames    int64
	// PerDelivery is the CPU time of server and Redis for one received frame, in µs.
	PerDelivery float64
	// Few is the number of frames of the same changes with one viewer of each topic, FewCPU
	// the CPU time of server and Redis for them; 0 if not measured.
	Few    int64
	FewCPU time.Duration
	// Further is the CPU time of each further delivery of a change, in µs. The cost of the
	// change itself is in both measurements and cancels out.
	Further         float64
	RSSBefore, RSS  int64 // bytes, before the viewers connected and after all deliveries
	PSSBefore, PSS  int64
	Enter           time.Duration // until all viewers were connected
	ServerCPU       time.Duration
	RedisCPU        time.Duration
	FewestPerViewer int
}

// MemoryPerViewer returns the resident memory of a viewer in bytes.
func (d delivered) MemoryPerViewer() float64 { return float64(d.RSS-d.RSSBefore) / float64(d.Viewers) }

// loopRate is the number of changes a second that one loop of likers can send.
const loopRate = 1000

// loops returns the smallest number of loops that can change the topics at the rate, each
// loop with the same number of topics.
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
	finals []int64 // the last count of each topic
}

func newPacer(likers *load.Likers, loops, topics int, rate float64) *pacer {
	return &pacer{
		likers: likers, loops: loops, topics: topics,
		gap:    time.Duration(float64(time.Second) / rate * float64(loops)),
		finals: make([]int64, topics),
	}
}

// run makes about n changes, the same number in each loop. Two changes of a loop are at
// least the gap apart: a late change delays the following ones.
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

// deliver measures the cost of deliveries on a server that was just started. With few it
// first measures the same changes with one viewer of each topic.
func (s *session) deliver(server *peer.Server, transport load.Transport, d delivery, few bool) (out delivered, err error) {
	out = delivered{delivery: d, Peer: server.Peer.Name, Transport: transport}
	likers, err := server.Likers(load.Concurrency{Loops: d.loops()})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	pace := newPacer(likers, d.loops(), d.Topics, d.Rate)
	out.Changes = max(int(d.Rate*d.Duration.Seconds()), d.Topics)
	out.Changes -= out.Changes % d.Topics // each topic changes as often as the others

	// Creates every topic and warms the server up.
	warm := newPacer(likers, d.loops(), d.Topics, loopRate)
	if err := warm.run(s, max(d.Topics, 20)); err != nil {
		return out, err
	}
	pace.finals = warm.finals
	if few {
		one := d
		one.Viewers, one.Settle = max(d.Topics/d.PerViewer, 1), 0
		w, err := s.watch(server, transport, one, pace, out.Changes)
		if err != nil {
			return out, fmt.Errorf("with one viewer of each topic: %w", err)
		}
		out.Few, out.FewCPU = w.frames, w.cost.Server+w.cost.Redis
	}
	if err := s.wait(d.Settle); err != nil {
		return out, err
	}
	empty, err := server.Processes.Usage()
	if err != nil {
		return out, err
	}
	w, missed := s.watch(server, transport, d, pace, out.Changes)
	if w.frames == 0 {
		return out, missed
	}
	out.Enter, out.Frames, out.FewestPerViewer = w.enter, w.frames, w.fewest
	out.ServerCPU, out.RedisCPU = w.cost.Server, w.cost.Redis
	out.RSSBefore, out.PSSBefore, out.RSS, out.PSS = empty.RSS, empty.PSS, w.usage.RSS, w.usage.PSS
	cost := w.cost.Server + w.cost.Redis
	out.PerDelivery = micros(cost) / float64(w.frames)
	if few {
		out.Further = micros(cost-out.FewCPU) / float64(w.frames-out.Few)
	}
	return out, errors.Join(missed, s.report.Record(out))
}

// watched is the cost of changes while viewers watch.
type watched struct {
	enter  time.Duration // until all viewers were connected
	cost   peer.CPU
	frames int64
	fewest int           // frames of the viewer that received fewest
	usage  measure.Usage // while they watch and nothing changes
}

// watch connects viewers, measures changes, and disconnects the viewers. If viewers miss
// frames it returns an error beside the figures.
func (s *session) watch(server *peer.Server, transport load.Transport, d delivery, pace *pacer, changes int) (w watched, err error) {
	audience, err := load.NewAudience(load.Plan{Endpoint: server.Endpoint(transport), Viewers: d.Viewers, Topics: d.Topics, PerViewer: d.PerViewer})
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.timeout(enterWithin)
	defer cancel()
	began := time.Now()
	if err := audience.Open(ctx); err != nil {
		return w, err
	}
	w.enter = time.Since(began)
	settle := func() error {
		ctx, cancel := s.timeout(settleWithin)
		defer cancel()
		return audience.Await(ctx, pace.finals)
	}
	// The first deliveries grow buffers and warm caches.
	if err := pace.run(s, max(d.Topics, int(d.Rate))); err != nil {
		return w, err
	}
	if err := errors.Join(settle(), audience.Reset(s.ctx)); err != nil {
		return w, err
	}
	before, err := server.CPU()
	if err != nil {
		return w, err
	}
	if err := pace.run(s, changes); err != nil {
		return w, err
	}
	missed := settle()
	after, err := server.CPU()
	if err != nil {
		return w, err
	}
	if err := s.wait(d.Settle); err != nil {
		return w, err
	}
	if w.usage, err = server.Processes.Usage(); err != nil {
		return w, err
	}
	got, err := audience.Report(s.ctx)
	if err != nil {
		return w, err
	}
	w.cost, w.frames, w.fewest = after.Sub(before), got.Frames, got.Fewest
	return w, errors.Join(missed, got.Check(changes/d.Topics*d.PerViewer*leastShare/100))
}

func (d delivered) String() string {
	return fmt.Sprintf("%s on %s: %.2f µs a delivery", d.Peer, d.Transport, d.PerDelivery)
}
