package redisstore

import (
	"context"
	"sync"
	"time"
)

const (
	// advanceTimeout bounds the computation of a metric's gains for an hour.
	advanceTimeout = time.Minute
	// advanceRetries is the pause after which an instance looks again whether another one has
	// computed the gains.
	advanceRetries = 100 * time.Millisecond
)

// advances are the metrics whose gains are to be computed for an hour that began. Changes and
// readers notice that: gains that nobody needs are not computed.
type advances struct {
	run func(ctx context.Context, b leaderboard, isFull bool) (done bool, err error) // fixed

	mu sync.Mutex
	// Guarded by mu.
	known     map[leaderboard]struct{} // whose gains this instance read or wrote
	requested map[leaderboard]bool     // to whether all gains are computed again
	cancel    context.CancelFunc       // ends the running computation
	ended     chan struct{}            // closed when it has ended; nil if none runs
	closed    bool
}

// know notes a metric whose gains are computed.
func (a *advances) know(b leaderboard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[b] = struct{}{}
}

// request has the gains of a metric computed.
func (a *advances) request(b leaderboard, isFull bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[b] = struct{}{}
	a.requested[b] = a.requested[b] || isFull
	a.startLocked()
}

// requestAll has all gains computed again, since Redis may have lost data.
func (a *advances) requestAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b := range a.known {
		a.requested[b] = true
	}
	a.startLocked()
}

func (a *advances) startLocked() {
	if a.closed || a.ended != nil || len(a.requested) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	a.cancel, a.ended = cancel, ended
	go func() { // ends when nothing is requested, or with close, which waits for it
		defer close(ended)
		defer cancel()
		for {
			b, isFull, ok := a.take()
			if !ok {
				return
			}
			a.runOne(ctx, b, isFull)
		}
	}()
}

// take returns a requested computation.
func (a *advances) take() (b leaderboard, isFull, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b, isFull := range a.requested {
		if !a.closed {
			delete(a.requested, b)
			return b, isFull, true
		}
	}
	a.ended = nil
	return b, false, false
}

// runOne computes gains. If another instance does, it looks again later. After a failure the next
// change or reader requests the computation again.
func (a *advances) runOne(ctx context.Context, b leaderboard, isFull bool) {
	ctx, cancel := context.WithTimeout(ctx, advanceTimeout)
	defer cancel()
	done, err := a.run(ctx, b, isFull)
	if done {
		return
	}
	if sleep(ctx, jitter(advanceRetries)) && err == nil {
		a.request(b, isFull)
	}
}

// close ends the running computation.
func (a *advances) close() {
	a.mu.Lock()
	a.closed = true
	ended := a.ended
	if ended != nil {
		a.cancel()
	}
	a.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
