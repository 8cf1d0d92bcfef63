package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
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
	address string
	request Request
	next    atomic.Int64 // number of the next like
	loops   []*liker
}

// liker is one loop's connections. The loop owns it.
type liker struct {
	conns    []net.Conn
	readers  []*bufio.Reader
	turn     int
	request  []byte
	latency  *hdrhistogram.Histogram
	acks     []Ack
	perTopic []int64
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
func NewLikers(ctx context.Context, address string, request Request, how Concurrency) (_ *Likers, err error) {
	l := &Likers{address: address, request: request}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	for range how.Loops {
		l.loops = append(l.loops, &liker{})
	}
	for i := range max(how.Addresses, how.Loops) {
		from := &net.TCPAddr{IP: Source(how.First + i%max(how.Addresses, 1)).AsSlice()}
		conn, err := (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp4", address)
		if err != nil {
			return l, fmt.Errorf("connect a liker: %w", err)
		}
		loop := l.loops[i%how.Loops]
		loop.conns = append(loop.conns, conn)
		loop.readers = append(loop.readers, bufio.NewReaderSize(conn, 4096))
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
	errs := make([]error, len(l.loops))
	var work sync.WaitGroup
	for i, loop := range l.loops {
		loop.latency, loop.acks, loop.perTopic = NewHistogram(), nil, make([]int64, job.Topics)
		work.Go(func() { // ends with the job's time or count
			for ctx.Err() == nil && errs[i] == nil {
				n := l.next.Add(1)
				if n > last {
					return
				}
				topic := Spread(n, job.Topics)
				ack, err := loop.like(l.request, names[topic], n)
				if err != nil {
					errs[i] = err
					return
				}
				loop.perTopic[topic]++
				_ = loop.latency.RecordValue((ack.At - ack.Sent) / int64(time.Microsecond)) // within a minute, or like failed
				if job.Keep {
					loop.acks = append(loop.acks, ack)
				}
			}
		})
	}
	work.Wait()
	result := Result{Elapsed: time.Since(began), Latency: NewHistogram(), PerTopic: make([]int64, job.Topics)}
	for _, loop := range l.loops {
		result.Latency.Merge(loop.latency)
		result.Acks = append(result.Acks, loop.acks...)
		for i, n := range loop.perTopic {
			result.PerTopic[i] += n
			result.Likes += n
		}
	}
	return result, errors.Join(errs...)
}

// One sends one like of a topic and returns its acknowledgement.
func (l *Likers) One(topic int) (Ack, error) { return l.OneOf(0, topic) }

// OneOf is One by the given loop. Different loops may be used at the same time.
func (l *Likers) OneOf(loop, topic int) (Ack, error) {
	return l.loops[loop].like(l.request, Topic(topic), l.next.Add(1))
}

// Close closes the connections.
func (l *Likers) Close() error {
	var errs []error
	for _, loop := range l.loops {
		for _, conn := range loop.conns {
			errs = append(errs, conn.Close())
		}
	}
	return errors.Join(errs...)
}

// like sends a like over the next of the loop's connections and reads the answer.
func (l *liker) like(request Request, topic string, n int64) (Ack, error) {
	l.turn = (l.turn + 1) % len(l.conns)
	conn, reader := l.conns[l.turn], l.readers[l.turn]
	if err := conn.SetDeadline(time.Now().Add(likeTimeout)); err != nil {
		return Ack{}, fmt.Errorf("like: %w", err)
	}
	l.request = request(l.request[:0], topic, n)
	ack := Ack{N: n, Sent: Clock()}
	if _, err := conn.Write(l.request); err != nil {
		return ack, fmt.Errorf("like: %w", err)
	}
	body, err := readAnswer(reader)
	if err != nil {
		return ack, fmt.Errorf("like: %w", err)
	}
	ack.At = Clock()
	ack.Count = number(body, `"count":`)
	return ack, nil
}

// readAnswer reads one HTTP/1.1 answer and returns its body, which must say that
// the request succeeded. The body is good until the next one.
func readAnswer(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	status := string(bytes.TrimSpace(line))
	length, chunked := -1, false
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("read the head: %w", err)
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, fmt.Errorf("Content-Length: %w", err)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if chunked || length < 0 || length > reader.Size() {
		return nil, fmt.Errorf("%s: an answer without a length", status)
	}
	body, err := reader.Peek(length)
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	_, _ = reader.Discard(length) // it was peeked at
	if len(status) < 12 || status[9] != '2' {
		return nil, fmt.Errorf("%s: %.200s", status, body)
	}
	return body, nil
}

// number returns the integer that follows name in data, 0 if none does.
func number(data []byte, name string) (n int64) {
	at := bytes.Index(data, []byte(name))
	if at < 0 {
		return 0
	}
	for _, c := range data[at+len(name):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
