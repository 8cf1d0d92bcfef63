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
	// likeTimeout is the time for an answer. Servers here answer within 3 s.
	likeTimeout = 10 * time.Second
	// Histograms range from 1 µs to a minute with three digits.
	lowest, highest, digits = 1, int64(time.Minute / time.Microsecond), 3
)

// NewHistogram returns an empty histogram of microseconds.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// Request appends the HTTP/1.1 request for like number n of topic to dst. Numbers are unique
// within a run, so that each like has another visitor.
type Request func(dst []byte, topic string, n int64) []byte

// Ack is an acknowledged like.
type Ack struct {
	N        int64
	Sent, At int64 // ns of [Clock]
	Count    int64 // in the answer; 0 if the server sends none
}

// Final returns the count that viewers show after the like: the count in the answer or, if
// the server keeps no counts, the number of the like.
func (a Ack) Final() int64 {
	if a.Count > 0 {
		return a.Count
	}
	return a.N
}

// Likers send likes over kept connections.
type Likers struct {
	request Request
	epoll   int
	share   int          // the number of topics of each loop; 0 if each likes all
	next    atomic.Int64 // number of the next like
	loops   []*liker
}

// liker sends one like after the other, over its connections in turn. One goroutine at a
// time uses it.
type liker struct {
	conns    []likeConn
	first    int // the first of the topics that it likes
	turn     int
	request  []byte
	awaiting bool // an answer is outstanding
	ack      Ack
	topic    int
}

// likeConn is a connection with at most one like in flight.
type likeConn interface {
	send(request []byte) error
	// read returns the answer, valid until the next request, or nil if it is not complete.
	read() (answer []byte, err error)
	await(within time.Duration) (answer []byte, err error)
	close() error
	descriptor() int
}

// Concurrency describes how likes are sent.
type Concurrency struct {
	// Loops is the number of likes in flight.
	Loops int
	// Addresses is the number of client addresses, at least Loops.
	Addresses int
	// First is the number of the first address.
	First int
	// Watched, if not 0, is the number of topics: likes are assertions over WebSockets at
	// Endpoint. Each loop watches its share of the topics, and likes these only.
	Watched  int
	Endpoint Endpoint
}

// share returns the number of topics of each loop.
func (how Concurrency) share() int { return max(1, how.Watched/how.Loops) }

func (how Concurrency) dial(loop int, from netip.Addr, to netip.AddrPort) (likeConn, error) {
	if how.Watched == 0 {
		return dialHTTP(from, to)
	}
	return dialAssert(from, how.Endpoint, loop*how.share()%how.Watched, how.share())
}

// NewLikers opens the connections. [Likers.Close] closes them.
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
	for i := range how.Loops {
		loop := &liker{}
		if how.Watched > 0 {
			l.share = how.share()
			loop.first = i * l.share % how.Watched
		}
		l.loops = append(l.loops, loop)
	}
	for i := range max(how.Addresses, how.Loops) {
		conn, err := how.dial(i%how.Loops, Source(how.First+i%max(how.Addresses, 1)), to)
		if err != nil {
			return l, fmt.Errorf("connect: %w", err)
		}
		loop := l.loops[i%how.Loops]
		loop.conns = append(loop.conns, conn)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i % how.Loops)}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, conn.descriptor(), &event); err != nil {
			return l, fmt.Errorf("add to the epoll set: %w", err)
		}
	}
	return l, nil
}

// Job is a number of likes.
type Job struct {
	// Topics is the number of topics over which [Spread] distributes the likes.
	Topics int
	// For is the duration of the job. Count, if not 0, is the number of likes after which it
	// ends earlier.
	For   time.Duration
	Count int64
	// Keep stores each acknowledgement.
	Keep bool
}

// Result is the result of a job.
type Result struct {
	Likes   int64
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // in µs, from before the request to after the answer
	Acks    []Ack                   // in no particular order
	// PerTopic is the number of likes of each topic.
	PerTopic []int64
}

// Rate returns likes a second.
func (r Result) Rate() float64 { return float64(r.Likes) / r.Elapsed.Seconds() }

// Spread returns the topic of like n: pseudo-random and the same in every run (SplitMix64,
// Steele, Lea and Flood, 2014).
func Spread(n int64, topics int) int {
	if topics == 1 {
		return 0
	}
	z := uint64(n) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(topics))
}

// Run sends the next like after each answer. An answer without success is an error.
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
		if loop.topic = Spread(n, job.Topics); l.share > 0 {
			loop.topic = loop.first + Spread(n, l.share)
		}
		inFlight++
		return loop.send(l.request, names[loop.topic], n)
	}
	take := func(loop *liker) error {
		ack, ok, err := loop.poll()
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

// OneOf is One on the given loop. Different loops may be used concurrently.
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
	l.ack, l.awaiting = Ack{N: n, Sent: Clock()}, true
	if err := l.conns[l.turn].send(l.request); err != nil {
		return fmt.Errorf("like: %w", err)
	}
	return nil
}

// poll returns the answer if it has arrived.
func (l *liker) poll() (ack Ack, ok bool, err error) {
	body, err := l.conns[l.turn].read()
	if err != nil {
		return ack, false, fmt.Errorf("like: %w", err)
	}
	if body == nil {
		return ack, false, nil
	}
	if !l.awaiting {
		return ack, false, errors.New("like: the server sent an answer without a request")
	}
	return l.acknowledged(body), true, nil
}

func (l *liker) acknowledged(body []byte) Ack {
	l.awaiting = false
	l.ack.At, l.ack.Count = Clock(), number(body, `"count":`)
	return l.ack
}
