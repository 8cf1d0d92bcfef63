package push

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxWaiting bounds the waiting topics of all connections, 16 bytes each. Further ones stay
	// refused.
	maxWaiting = 100_000
	// maxWaitingPerAddress bounds the waiting topics of one client address, so that those of
	// others can wait, too.
	maxWaitingPerAddress = maxWaiting / 10
)

// waitingTopics are topics that connections want to watch. They were refused because of
// MaxTopics of the hub or the quota of the address, and are tried again.
type waitingTopics struct {
	mu     sync.Mutex
	byConn map[*conn][]tally.Topic // guarded by mu; no list is empty
	count  int                     // of all topics; guarded by mu
}

// add adds topics of c, unless c has ended. It drops those above the bounds.
func (w *waitingTopics) add(c *conn, topics []tally.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(topics), maxWaiting-w.count, tally.MaxTopics-len(w.byConn[c]))
	if c.client.address.IsValid() {
		n = min(n, maxWaitingPerAddress-c.client.waiting)
	}
	if n <= 0 || c.hasEnded {
		return
	}
	w.setLocked(c, append(w.byConn[c], topics[:n]...))
}

// remove removes topics of c.
func (w *waitingTopics) remove(c *conn, topics []tally.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting := w.byConn[c]; len(waiting) > 0 {
		isRemoved := topicSet(topics)
		w.setLocked(c, slices.DeleteFunc(waiting, func(topic tally.Topic) bool { return isRemoved[topic] }))
	}
}

// end removes the topics of c, which has ended.
func (w *waitingTopics) end(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.hasEnded = true
	w.setLocked(c, nil)
}

func (w *waitingTopics) setLocked(c *conn, topics []tally.Topic) {
	more := len(topics) - len(w.byConn[c])
	w.count += more
	c.client.waiting += more
	if len(topics) > 0 {
		w.byConn[c] = topics
	} else {
		delete(w.byConn, c)
	}
}

func (w *waitingTopics) conns() (conns []*conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byConn {
		conns = append(conns, c)
	}
	return conns
}

// retryWaiting watches waiting topics when there is a place for them, until ctx ends.
func (s *Server) retryWaiting(ctx context.Context) {
	ticker := time.NewTicker(s.options.RetryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, c := range s.waiting.conns() {
			s.retry(c)
		}
	}
}

// retry watches the waiting topics of c for which there is a place.
func (s *Server) retry(c *conn) {
	s.waiting.mu.Lock() // held during the subscription, so that unsubscribe comes before or after it
	defer s.waiting.mu.Unlock()
	if topics := s.waiting.byConn[c]; len(topics) > 0 {
		s.waiting.setLocked(c, s.hub.SubscribeAgain(&c.Viewer, topics))
	}
}
