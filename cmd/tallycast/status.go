package main

import (
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// reporter makes the status of this process.
type reporter struct {
	started time.Time
	version string
	parts   []tally.Instrumented
	sink    *noticedSink
	health  func() tally.Health
}

// status does no I/O.
func (r *reporter) status() owner.InstanceStatus {
	s := owner.InstanceStatus{Started: r.started, Version: r.version}
	figures := map[string]*int64{"viewers": &s.Viewers, "watched_topics": &s.Watched, "present_pages": &s.Readers}
	for _, part := range r.parts {
		for _, metric := range part.Metrics() {
			if figure := figures[metric.Name]; figure != nil {
				*figure = int64(metric.Value)
			}
		}
	}
	if since := r.sink.staleSince.Load(); since != 0 {
		at := time.UnixMicro(since).UTC()
		s.StaleSince = &at
	}
	health := r.health()
	for _, fault := range []error{health.Err, health.Conflict} {
		if fault != nil {
			s.StoreFault = fault.Error()
		}
	}
	return s
}

// noticedSink is a sink of which is known whether it may have missed changes.
type noticedSink struct {
	tally.Sink
	staleSince atomic.Int64 // microseconds since the Unix epoch; 0: it is live
}

// newNoticedSink returns one that is stale until its feed says otherwise.
func newNoticedSink(sink tally.Sink) *noticedSink {
	s := &noticedSink{Sink: sink}
	s.staleSince.Store(time.Now().UnixMicro())
	return s
}

func (s *noticedSink) Stale() {
	s.staleSince.CompareAndSwap(0, time.Now().UnixMicro())
	s.Sink.Stale()
}

func (s *noticedSink) Live() {
	s.staleSince.Store(0)
	s.Sink.Live()
}
