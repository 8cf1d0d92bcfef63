package owner

import (
	"context"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// storeTimeout bounds one read of the settings and one heartbeat, so that a store that
// hangs does not prevent the next attempt.
const storeTimeout = 3 * time.Second

// Run sends heartbeats, follows the settings, finishes merges that other instances left
// unfinished, measures the usage on request and writes pending audit entries, until ctx ends.
// It may be called once.
func (s *Service) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { s.sendHeartbeats(ctx) })
	loops.Go(func() { s.followSettings(ctx) })
	loops.Go(func() { s.measureUsage(ctx) })
	loops.Go(func() { s.finishAbandoned(ctx) })
	loops.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_ = s.writePendingAudit(last) // entries that remain pending are in the log
	return nil
}

// followSettings reads the settings when it starts, after each notification of settingsChanged, and
// after changes that the store notices. If the store does not notice changes, it reads the settings
// every [settingsInterval]. It also writes pending audit entries. It ends with ctx. It does not log
// failures of the store, which are in the store's health.
func (s *Service) followSettings(ctx context.Context) {
	var changed <-chan struct{} // nil: the store does not notice changes
	if follower, ok := s.store.(tally.SettingsFollower); ok {
		changed = follower.SettingsChanged()
	}
	for {
		next := settingsInterval
		within, cancel := context.WithTimeout(ctx, storeTimeout)
		settings, err := s.loadSettings(within)
		if err == nil {
			if values := s.abandoned(settings); len(values) > 0 {
				select {
				case s.abandonedClaims <- values:
				default: // finishAbandoned is busy; the claims are found again
				}
			}
			if tally.MergeUnderWay(settings) {
				next = claimInterval
			}
		}
		audit := s.writePendingAudit(within)
		cancel()
		var later <-chan time.Time
		if changed == nil || err != nil || audit != nil || next == claimInterval {
			later = time.After(next)
		}
		select {
		case <-ctx.Done():
			return
		case <-later:
		case <-changed:
		case <-s.settingsChanged:
		}
	}
}
