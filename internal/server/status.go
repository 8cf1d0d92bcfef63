package server

import (
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/owner"
)

// status returns the status of this instance without I/O.
func (i *instance) status() owner.InstanceStatus {
	s := owner.InstanceStatus{Started: i.started, Version: i.version, Viewers: i.hub.Viewers(), Watched: i.hub.WatchedTopics()}
	s.Readers, _ = i.presence.Present()
	if since := i.sink.staleSince.Load(); since != 0 {
		at := time.UnixMicro(since).UTC()
		s.StaleSince = &at
	}
	health := i.store.Health()
	for _, fault := range []error{health.Err, health.Conflict} {
		if fault != nil {
			s.StoreFault = fault.Error()
		}
	}
	return s
}

// staleSink is a sink that records since when changes may be missing.
type staleSink struct {
	*hub.Hub
	staleSince atomic.Int64 // microseconds since the Unix epoch; 0: live
}

// newStaleSink returns a sink that is stale until its feed is live.
func newStaleSink(h *hub.Hub) *staleSink {
	s := &staleSink{Hub: h}
	s.staleSince.Store(time.Now().UnixMicro())
	return s
}

func (s *staleSink) Stale() {
	s.staleSince.CompareAndSwap(0, time.Now().UnixMicro())
	s.Hub.Stale()
}

func (s *staleSink) Live() {
	s.staleSince.Store(0)
	s.Hub.Live()
}
