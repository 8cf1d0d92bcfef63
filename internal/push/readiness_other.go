//go:build !linux

package push

import (
	"context"
	"io"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
)

// readiness tells of event streams whose clients left: where the system has no
// epoll, with a goroutine each that reads.
type readiness struct{ hub *hub.Hub }

func newReadiness(h *hub.Hub) (*readiness, error) { return &readiness{hub: h}, nil }

// watch has the hub told when the client of c leaves.
func (r *readiness) watch(c *conn) {
	c.server.work.Go(func() { // ends when the shard closes the connection
		_, _ = io.Copy(io.Discard, c.net)
		r.hub.Leave(&c.Viewer, hub.ReasonGone)
	})
}

func (r *readiness) forget(int) {}

func (r *readiness) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// setUserTimeout does nothing: unacknowledged beats end a connection when the
// kernel's own patience does.
func setUserTimeout(int, time.Duration) error { return nil }
