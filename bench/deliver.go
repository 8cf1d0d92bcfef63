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
	// PerDelivery is the CPU time of server and Redis for a frame that a viewer got, in µs.
	PerDelivery float64
	// Few are the frames of the same changes where every topic is watched by one viewer,
	// FewCPU what those took of server and Redis; 0 where that was not measured.
	Few    int64
	FewCPU time.Duration
	// Further is what each further delivery of a change takes, in µs: what a change takes
	// by itself, watched as it is, is in both and falls out.
	Further         float64
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

// deliver measures what deliveries cost a server that was just started. few also
// measures, before, what the changes cost where each topic has one viewer.
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

	// Every topic exists, and what is done once is done, before anything is measured.
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
			return out, fmt.Errorf("with a viewer a topic: %w", err)
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

// watched is what changes cost while viewers watch.
type watched struct {
	enter  time.Duration // until all viewers were let in
	cost   peer.CPU
	frames int64
	fewest int           // frames that a viewer got
	usage  measure.Usage // while they watch, and nothing has changed for a while
}

// watch lets viewers in, measures changes, and lets the viewers go. Viewers that fell
// short are an error beside the figures.
func (s *session) watch(server *peer.Server, transport load.Transport, d delivery, pace *pacer, changes int) (w watched, err error) {
	audience, err := load.NewAudience(load.Plan{Door: server.Door(transport), Viewers: d.Viewers, Topics: d.Topics, PerViewer: d.PerViewer})
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.within(enterWithin)
	defer cancel()
	began := time.Now()
	if err := audience.Open(ctx); err != nil {
		return w, err
	}
	w.enter = time.Since(began)
	settle := func() error {
		ctx, cancel := s.within(settleWithin)
		defer cancel()
		return audience.Await(ctx, pace.finals)
	}
	// The first round of deliveries grows buffers and warms caches.
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
