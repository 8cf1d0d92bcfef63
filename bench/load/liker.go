package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	// likeTimeout is how long an answer may take: servers here answer within 3 s
	// whatever their store does.
	likeTimeout = 10 * time.Second
	// The histograms hold 1 µs to a minute with three digits.
	lowest, highest, digits = 1, int64(time.Minute / time.Microsecond), 3
)

// NewHistogram returns an empty histogram of microseconds.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// Request appends the like number n of topic to dst, as a whole HTTP/1.1 request.
// Numbers are unique within a run, so that each like is of another visitor.
type Request func(dst []byte, topic string, n int64) []byte

// Ack is an acknowledged like.
type Ack struct {
	N        int64
	Sent, At int64 // ns of [Clock]
	Count    int64 // that the server answered; 0 where it answers none
}

// Final is the count that viewers show once the like reached them: the server's,
// or, where that counts nothing, the like's own number.
func (a Ack) Final() int64 {
	if a.Count > 0 {
		return a.Count
	}
	return a.N
}

// Likers press the heart over connections that are kept.
type Likers struct {
	request Request
	epoll   int
	next    atomic.Int64 // number of the next like
	loops   []*liker
}

// liker is one like in flight after the other, over connections in turn. One
// goroutine at a time uses it.
type liker struct {
	conns   []*httpConn
	turn    int
	request []byte
	waits   bool // for the answer to what follows
	ack     Ack
	topic   int
}

// Concurrency says how likes are sent.
type Concurrency struct {
	// Loops is how many likes are in flight.
	Loops int
	// Addresses is from how many client addresses they come; at least Loops.
	Addresses int
	// First is the number of the first address.
	First int
}

// NewLikers connects. [Likers.Close] ends it.
func NewLikers(address string, request Request, how Concurrency) (_ *Likers, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	l := &Likers{request: request}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an epoll set: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	for range how.Loops {
		l.loops = append(l.loops, &liker{})
	}
	for i := range max(how.Addresses, how.Loops) {
		conn, err := dialHTTP(Source(how.First+i%max(how.Addresses, 1)), to)
		if err != nil {
			return l, fmt.Errorf("a liker: %w", err)
		}
		loop := l.loops[i%how.Loops]
		loop.conns = append(loop.conns, conn)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i % how.Loops)}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, conn.fd, &event); err != nil {
			return l, fmt.Errorf("wait for a liker: %w", err)
		}
	}
	return l, nil
}

// Job is a number of likes.
type Job struct {
	// Topics is over how many topics the likes spread, by [Spread].
	Topics int
	// For is how long to like; Count, if not 0, how many likes end it before.
	For   time.Duration
	Count int64
	// Keep keeps each acknowledgement.
	Keep bool
}

// Result is what came of a job.
type Result struct {
	Likes   int64
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // in µs, from before the request to after the answer
	Acks    []Ack                   // in no order
	// PerTopic is how many likes each topic got.
	PerTopic []int64
}

// Rate is likes a second.
func (r Result) Rate() float64 { return float64(r.Likes) / r.Elapsed.Seconds() }

// Spread returns the topic of like n of many topics: a fixed permutation that looks
// random, so that runs repeat (SplitMix64, Steele, Lea and Flood, 2014).
func Spread(n int64, topics int) int {
	if topics == 1 {
		return 0
	}
	z := uint64(n) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(topics))
}

// Run likes as fast as answers come. An answer that is no success is an error.
func (l *Likers) Run(ctx context.Context, job Job) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, job.For)
	defer cancel()
	last := int64(1) << 62
	if job.Count > 0 {
		last = l.next.Load() + job.Count
	}
	names := make([]string, job.Topics)
	for i := range names {
		names[i] = Topic(i)
	}
	began := time.Now()
	result := Result{Latency: NewHistogram(), PerTopic: make([]int64, job.Topics)}
	inFlight := 0
	send := func(loop *liker) error {
		if ctx.Err() != nil {
			return nil
		}
		n := l.next.Add(1)
		if n > last {
			return nil
		}
		loop.topic = Spread(n, job.Topics)
		inFlight++
		return loop.send(l.request, names[loop.topic], n)
	}
	take := func(loop *liker) error {
		ack, ok, err := loop.take()
		if err != nil || !ok {
			return err
		}
		inFlight--
		result.Likes++
		result.PerTopic[loop.topic]++
		if err := result.Latency.RecordValue((ack.At - ack.Sent) / int64(time.Microsecond)); err != nil {
			return err
		}
		if job.Keep {
			result.Acks = append(result.Acks, ack)
		}
		return send(loop)
	}
	for _, loop := range l.loops {
		if err := send(loop); err != nil {
			return result, err
		}
	}
	events := make([]unix.EpollEvent, len(l.loops))
	for inFlight > 0 {
		n, err := unix.EpollWait(l.epoll, events, int(likeTimeout/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return result, fmt.Errorf("wait for answers: %w", err)
		case n == 0:
			return result, fmt.Errorf("no answer within %v", likeTimeout)
		}
		for _, event := range events[:n] {
			if err := take(l.loops[event.Fd]); err != nil {
				return result, err
			}
		}
	}
	result.Elapsed = time.Since(began)
	return result, nil
}

// One sends one like of a topic and returns its acknowledgement.
func (l *Likers) One(topic int) (Ack, error) { return l.OneOf(0, topic) }

// OneOf is One by the given loop. Different loops may be used at the same time.
func (l *Likers) OneOf(loop, topic int) (Ack, error) {
	one := l.loops[loop]
	if err := one.send(l.request, Topic(topic), l.next.Add(1)); err != nil {
		return Ack{}, err
	}
	body, err := one.conns[one.turn].await(likeTimeout)
	if err != nil {
		return Ack{}, fmt.Errorf("like: %w", err)
	}
	return one.acknowledged(body), nil
}

// Close closes the connections.
func (l *Likers) Close() error {
	errs := []error{unix.Close(l.epoll)}
	for _, loop := range l.loops {
		for _, conn := range loop.conns {
			errs = append(errs, conn.close())
		}
	}
	return errors.Join(errs...)
}

// send sends a like over the next of the connections.
func (l *liker) send(request Request, topic string, n int64) error {
	l.turn = (l.turn + 1) % len(l.conns)
	l.request = request(l.request[:0], topic, n)
	l.ack, l.waits = Ack{N: n, Sent: Clock()}, true
	if err := l.conns[l.turn].send(l.request); err != nil {
		return fmt.Errorf("like: %w", err)
	}
	return nil
}

// take takes the answer, if it is there by now.
func (l *liker) take() (ack Ack, ok bool, err error) {
	if !l.waits {
		return ack, false, errors.New("like: the server said something unasked")
	}
	body, err := l.conns[l.turn].read()
	if err != nil {
		return ack, false, fmt.Errorf("like: %w", err)
	}
	if body == nil {
		return ack, false, nil
	}
	return l.acknowledged(body), true, nil
}

func (l *liker) acknowledged(body []byte) Ack {
	l.waits = false
	l.ack.At, l.ack.Count = Clock(), number(body, `"count":`)
	return l.ack
}
