package redisstore

import (
	"fmt"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// revisionEntry is the entry of the settings that gets another value with each change, so that a
// probe discovers a change whose broadcast was lost. An older release does not change the revision.
// So an instance also compares a digest of all settings. It does that at longer intervals, since
// Redis takes long to compute a digest of many settings.
const revisionEntry = "revision"

// settingsState is the state of the settings that the last probes read.
type settingsState struct {
	changed chan struct{} // fixed; holds a token after they changed

	mu sync.Mutex
	// Guarded by mu.
	known            bool
	revision, digest string
	compared         time.Time // when the digest was read
}

// isDue reports whether the digest is to be read.
func (c *settingsState) isDue(interval time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.compared) >= interval
}

// update stores what a probe read; digest is empty if it did not read it. A change by
// [Store.SwapSettings] changes both, so the follower is notified twice.
func (c *settingsState) update(revision, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	isChanged := !c.known || revision != c.revision || digest != "" && digest != c.digest
	c.known, c.revision = true, revision
	if digest != "" {
		c.digest, c.compared = digest, time.Now()
	}
	if isChanged {
		notify(c.changed)
	}
}

// settingsPart notices changes of the settings.
func (s *Store) settingsPart() probePart {
	digest := ""
	if s.settingsState.isDue(s.options.Intervals.Digest) {
		digest = "1"
	}
	return probePart{"settings", []string{s.names.settings()}, []any{revisionEntry, digest}, func(reply any) error {
		values, _ := reply.([]any)
		if len(values) != 2 {
			return fmt.Errorf("read the settings: %v", reply)
		}
		s.settingsState.update(valueText(values[0]), valueText(values[1]))
		return nil
	}}
}

var _ tally.SettingsFollower = (*Store)(nil)

// SettingsChanged implements [tally.SettingsFollower].
func (s *Store) SettingsChanged() <-chan struct{} { return s.settingsState.changed }
