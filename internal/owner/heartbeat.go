package owner

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Heartbeats are stored, not only broadcast. A merge must not begin while an instance runs that
// ignores the marks of topics, and a block in one site must not begin while an instance runs
// that ignores such blocks. A command that works on the store and an instance that has just
// started must also find such an instance. The call that stores a heartbeat also counts the
// writes of each minute.

// Versions of the rules that instances follow. Each version includes those before. The
// oldest instances report none.
const (
	formatMarks      = 2 // respects the marks of topics
	formatSiteBlocks = 3 // respects blocks in one site
	statusFormat     = formatSiteBlocks
)

// lastHeartbeatTimeout is how long the last heartbeat may delay the end of the instance.
const lastHeartbeatTimeout = time.Second

// InstanceStatus is what an instance reports about itself; the dashboard shows it.
type InstanceStatus struct {
	Format   int       `json:"format"`   // set by [Service]
	Instance string    `json:"instance"` // random, for the life of the process; set by [Service]
	Started  time.Time `json:"started"`
	Version  string    `json:"version"`
	Viewers  int64     `json:"viewers"`        // connections that watch topics
	Watched  int64     `json:"watched_topics"` // distinct topics
	Readers  int64     `json:"readers"`        // open pages that presence counts
	// StaleSince is since when changes may be missed; zero if none are.
	StaleSince time.Time `json:"stale_since,omitzero"`
	StoreFault string    `json:"store_fault,omitempty"`
}

// statusJSON returns the status of this instance as JSON.
func (s *Service) statusJSON() json.RawMessage {
	status := s.status()
	status.Format, status.Instance = statusFormat, s.instance
	text, err := json.Marshal(status)
	if err != nil { // only a year after 9999 fails
		s.log.Error("cannot marshal the status of this instance", "error", err)
		return json.RawMessage("{}")
	}
	return text
}

// heartbeats records which writes the heartbeats of this instance have reported.
type heartbeats struct {
	mu   sync.Mutex
	sent map[string]int64 // guarded by mu: writes by site that stored heartbeats carried
}

// sendHeartbeats stores heartbeats until ctx ends. A [tally.HeartbeatCarrier] stores them
// together with its other commands; for other stores it writes one every
// [tally.HeartbeatInterval]. The last heartbeat reports that the instance ends.
func (s *Service) sendHeartbeats(ctx context.Context) {
	if _, ok := s.store.(tally.HeartbeatCarrier); ok { // see New
		<-ctx.Done()
	} else {
		tick := time.NewTicker(tally.HeartbeatInterval)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.writeHeartbeat(ctx, s.nextHeartbeat(), storeTimeout)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
	last := s.nextHeartbeat()
	last.Last = true
	s.writeHeartbeat(context.WithoutCancel(ctx), last, lastHeartbeatTimeout)
}

// nextHeartbeat returns a heartbeat with the writes since the last stored one.
func (s *Service) nextHeartbeat() tally.Heartbeat {
	heartbeat := tally.Heartbeat{Instance: s.instance, Status: s.statusJSON(), Writes: map[string]int64{}, Totals: s.service.ChangesBySite()}
	s.heartbeats.mu.Lock()
	defer s.heartbeats.mu.Unlock()
	for site, n := range heartbeat.Totals {
		if sent := s.heartbeats.sent[site]; n > sent {
			heartbeat.Writes[site] = n - sent
		}
	}
	return heartbeat
}

// setHeartbeatStored records that a heartbeat was stored. Otherwise the next one carries its
// writes.
func (s *Service) setHeartbeatStored(heartbeat tally.Heartbeat) {
	s.heartbeats.mu.Lock()
	defer s.heartbeats.mu.Unlock()
	for site, n := range heartbeat.Writes {
		s.heartbeats.sent[site] += n
	}
}

func (s *Service) writeHeartbeat(ctx context.Context, heartbeat tally.Heartbeat, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.store.WriteHeartbeat(ctx, heartbeat) == nil { // a failure is in the store's health
		s.setHeartbeatStored(heartbeat)
	}
}
