package redisstore

import (
	"context"
	"time"
)

const (
	// maxQueuedBroadcasts is how many payloads may wait for Redis: some seconds of them.
	maxQueuedBroadcasts = 256
	// broadcastTimeout is how long publishing may take; later, the payload is outdated.
	broadcastTimeout = time.Second
	// broadcastChunk is how many payloads go in one pipeline.
	broadcastChunk = 64
)

// Broadcast implements [tally.Feed]. If the queue is full the payload is dropped.
func (s *Store) Broadcast(payload []byte) {
	message := make([]byte, 0, len(s.instance)+1+len(payload))
	message = append(append(append(message, s.instance...), ' '), payload...)
	select {
	case s.broadcasts <- message:
	default:
		s.stats.broadcastsDropped.Add(1)
	}
}

// sendBroadcasts publishes queued broadcasts until ctx ends.
func (s *Store) sendBroadcasts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-s.broadcasts:
			s.publishBroadcasts(ctx, message)
		}
	}
}

// publishBroadcasts publishes a message and those that are queued. One goroutine at a time
// calls it.
func (s *Store) publishBroadcasts(ctx context.Context, message []byte) {
	ctx, cancel := context.WithTimeout(ctx, broadcastTimeout)
	defer cancel()
	pipe := s.startClient.Pipeline()
	pipe.Publish(ctx, s.names.broadcast(), message)
	for len(s.broadcasts) > 0 && pipe.Len() < broadcastChunk {
		pipe.Publish(ctx, s.names.broadcast(), <-s.broadcasts)
	}
	sent := pipe.Len()
	if _, err := pipe.Exec(ctx); err != nil {
		s.stats.broadcastsDropped.Add(int64(sent))
	}
}
