package server

import "github.com/tallycast/tallycast/internal/owner"

// status returns the status of this instance without I/O.
func (i *instance) status() owner.InstanceStatus {
	s := owner.InstanceStatus{
		Started: i.started, Version: i.version, Viewers: i.hub.Viewers(), Watched: i.hub.WatchedTopics(), StaleSince: i.hub.StaleSince(),
	}
	s.Readers, _ = i.presence.Present()
	health := i.store.Health()
	for _, fault := range []error{health.Err, health.Conflict} {
		if fault != nil {
			s.StoreFault = fault.Error()
		}
	}
	return s
}
