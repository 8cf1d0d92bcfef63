package redistopology

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// subscriberReadInterval is the least time between two reads of a subscription's connection.
// Most of the processor time for a change is spent on waking goroutines. So changes that come
// at a high rate are read together. At lower rates each is read at once.
const subscriberReadInterval = time.Millisecond

var errBroken = errors.New("the connection of the subscription broke")

// Subscriber is one connection that subscribes. It connects only once, with [Subscriber.Connect]:
// otherwise go-redis would reconnect and resubscribe, and the caller would not know. So Subscriber
// does not store the channels of [Subscriber.Send], which would take 60 bytes for each.
type Subscriber struct {
	client *redis.Client
	pubsub *redis.PubSub
	conn   atomic.Pointer[pacedConn]
}

// NewSubscriber returns a subscriber that is not connected. The caller closes it.
// [Subscriber.Receive] does not return the messages that take accepts. The goroutine that
// receives calls take, which must not keep its arguments.
func (n *Node) NewSubscriber(take func(channel, payload []byte) bool) *Subscriber {
	s := &Subscriber{}
	settings := *n.settings
	var used atomic.Bool
	dial := redis.NewDialer(&settings)
	settings.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errBroken
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s.conn.Store(&pacedConn{Conn: conn})
		return &messageConn{Conn: s.conn.Load(), take: take}, nil
	}
	s.client = n.newClient(&settings)
	s.pubsub = s.client.Subscribe(context.Background()) // uses no context without channels
	return s
}

// Connect connects and subscribes to the first channels. It is called once. If ctx ends, so does
// connecting.
func (s *Subscriber) Connect(ctx context.Context, channels ...string) error {
	return s.pubsub.Subscribe(ctx, channels...)
}

// Receive returns the next message or confirmation. One goroutine calls it.
func (s *Subscriber) Receive(ctx context.Context) (any, error) { return s.pubsub.Receive(ctx) }

// Send sends SUBSCRIBE or UNSUBSCRIBE with channels, after Connect returned nil.
func (s *Subscriber) Send(command string, channels []string) error {
	size := 32
	for _, channel := range channels {
		size += 16 + len(channel)
	}
	text := append(make([]byte, 0, size), '*')
	text = append(strconv.AppendInt(text, int64(1+len(channels)), 10), "\r\n"...)
	text = appendBulk(text, command)
	for _, channel := range channels {
		text = appendBulk(text, channel)
	}
	conn := s.conn.Load()
	if err := conn.SetWriteDeadline(time.Now().Add(s.client.Options().WriteTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(text)
	return err
}

// appendBulk appends a bulk string of Redis's protocol.
func appendBulk(dst []byte, text string) []byte {
	dst = append(dst, '$')
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), "\r\n"...)
	return append(append(dst, text...), "\r\n"...)
}

// Close closes the connection, and ends Receive.
func (s *Subscriber) Close() {
	_ = s.pubsub.Close() // fails if it was closed
	_ = s.client.Close()
}

// pacedConn is a connection that is read at most once in subscriberReadInterval. One
// goroutine reads.
type pacedConn struct {
	net.Conn
	lastRead time.Time
}

func (c *pacedConn) Read(p []byte) (int, error) {
	if wait := subscriberReadInterval - time.Since(c.lastRead); wait > 0 {
		time.Sleep(wait)
	}
	n, err := c.Conn.Read(p)
	c.lastRead = time.Now()
	return n, err
}
