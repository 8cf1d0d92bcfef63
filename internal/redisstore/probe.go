package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// probeEvery is how often an instance publishes a message to itself, on the way
	// that writes take.
	probeEvery = 2 * time.Second
	// silence is how long nothing may come back. With what ending a session takes,
	// viewers know within 10 s.
	silence = 5 * time.Second
	// broadcastWithin is how long a broadcast may take; after it, it is old news.
	broadcastWithin = time.Second
	// broadcastChunk is how many go in one pipeline.
	broadcastChunk = 64
)

var errSilence = errors.New("what is published does not come back")

// probe publishes to this instance and watches that it arrives. On the way it
// looks at Redis's clock and offers the secret again, in case that Redis forgot it.
func (n *session) probe() error {
	s := n.store
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	watch := time.NewTicker(silence / 10)
	defer watch.Stop()
	failing := n.probeOnce(0)
	for count := int64(1); ; {
		select {
		case <-n.ctx.Done():
			return nil
		case <-watch.C:
			if time.Since(n.begun)-time.Duration(n.heard.Load()) > silence {
				s.stats.probesLost.Add(1)
				if failing != nil {
					return failing
				}
				return errSilence
			}
		case <-tick.C:
			failing = n.probeOnce(count)
			count++
			var conflict *conflictError
			if errors.As(failing, &conflict) {
				return failing
			}
			if h := s.Health(); failing == nil && (h.Err != nil || h.Conflict != nil) {
				_ = s.Connect(n.ctx) // it may be mended; if not, this names why
			}
		}
	}
}

func (n *session) probeOnce(count int64) error {
	s := n.store
	ctx, cancel := context.WithTimeout(n.ctx, probeEvery)
	defer cancel()
	pipe := s.client.Pipeline()
	sent := time.Now()
	clock := pipe.Time(ctx)
	greeted := s.offer(ctx, pipe)
	nonce := n.nonce + strconv.FormatInt(count, 10)
	published := pipe.Publish(ctx, s.names.probe(s.instance), nonce)
	_, _ = pipe.Exec(ctx) // each command has its own error
	received := time.Now()
	if server, err := clock.Result(); err == nil {
		s.clock.note(sample{server: server.UnixMicro(), sent: sent, received: received})
	}
	err := greeted()
	if err == nil {
		err = published.Err()
	}
	if err != nil && n.ctx.Err() == nil {
		err = fmt.Errorf("probe: %w", err)
		s.status.bad(explain(err))
		return err
	}
	return nil
}

// control handles a message on one of the instance's own channels.
func (n *session) control(m *redis.Message) {
	s := n.store
	if m.Channel == s.names.probe(s.instance) {
		if strings.HasPrefix(m.Payload, n.nonce) {
			n.heard.Store(int64(time.Since(n.begun)))
		}
		return
	}
	if m.Channel != s.names.gossip() {
		return
	}
	if from, payload, ok := strings.Cut(m.Payload, " "); ok && from != s.instance {
		n.received([]byte(payload))
	}
}

// Broadcast implements [tally.Feed]. When the queue is full the newest is dropped.
func (s *Store) Broadcast(payload []byte) {
	message := make([]byte, 0, len(s.instance)+1+len(payload))
	message = append(append(append(message, s.instance...), ' '), payload...)
	select {
	case s.feed.broadcasts <- message:
	default:
		s.stats.broadcastsDropped.Add(1)
	}
}

// gossip publishes what was broadcast, until ctx ends.
func (s *Store) gossip(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-s.feed.broadcasts:
			s.publish(ctx, message)
		}
	}
}

// publish publishes a message and those that wait behind it.
func (s *Store) publish(ctx context.Context, message []byte) {
	ctx, cancel := context.WithTimeout(ctx, broadcastWithin)
	defer cancel()
	pipe := s.client.Pipeline()
	for {
		pipe.Publish(ctx, s.names.gossip(), message)
		if pipe.Len() == broadcastChunk {
			break
		}
		select {
		case message = <-s.feed.broadcasts:
			continue
		default:
		}
		break
	}
	sent := pipe.Len()
	if _, err := pipe.Exec(ctx); err != nil {
		s.stats.broadcastsDropped.Add(int64(sent))
	}
}
