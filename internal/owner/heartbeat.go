package owner

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Heartbeats are stored, not only broadcast. A merge must not begin while an instance runs
// whose release ignores the marks of topics. A command that works on the store and an
// instance that has just started must also know about such an instance. The call that
// stores a heartbeat also counts the writes of each minute.

// statusFormat is the version of the rules that instances follow. Instances of version 2
// respect the marks of topics. Older ones report no format.
const statusFormat = 2

// InstanceStatus is what an instance reports about itself; the dashboard shows it.
type InstanceStatus struct {
	Format   int       `json:"format"`   // set by [Service]
	Instance string    `json:"instance"` // random, for the life of the process; set by [Service]
	Started  time.Time `json:"started"`
	Version  string    `json:"version"`
	Viewers  int64     `json:"viewers"`        // connections that watch topics
	Watched  int64     `json:"watched_topics"` // distinct topics
	Readers  int64     `json:"readers"`        // open pages that presence counts
	// StaleSince is since when changes may be missed; nil if none are.
	StaleSince *time.Time `json:"stale_since,omitempty"`
	StoreFault string     `json:"store_fault,omitempty"`
}

// statusJSON returns the status of this instance.
func (s *Service) statusJSON() json.RawMessage {
	status := s.status()
	status.Format, status.Instance = statusFormat, s.instance
	text, err := json.Marshal(status)
	if err != nil { // no field can fail, but a year beyond 9999
		s.log.Error("cannot marshal the status of this instance", "error", err)
		return json.RawMessage("{}")
	}
	return text
}

// sendHeartbeats stores a heartbeat every [tally.HeartbeatInterval] until ctx ends.
func (s *Service) sendHeartbeats(ctx context.Context) {
	tick := time.NewTicker(tally.HeartbeatInterval)
	defer tick.Stop()
	sent := map[string]int64{} // writes by site that heartbeats carried
	for {
		s.sendHeartbeat(ctx, sent)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) sendHeartbeat(ctx context.Context, sent map[string]int64) {
	changed := s.service.ChangesBySite()
	heartbeat := tally.Heartbeat{Instance: s.instance, Status: s.statusJSON(), Writes: map[string]int64{}}
	for site, n := range changed {
		if n > sent[site] {
			heartbeat.Writes[site] = n - sent[site]
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if s.store.WriteHeartbeat(ctx, heartbeat) != nil {
		return // the next heartbeat carries these writes; the store's health shows the failure
	}
	for site, n := range changed {
		sent[site] = n
	}
}
