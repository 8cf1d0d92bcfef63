package sqlitestore_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// The activity has the writes of each heartbeat that was stored without an error, and no others, even if
// the deadline of a heartbeat ends during its commit.
func TestWriteHeartbeat_Deadline(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "tally.db"), catalog(), sqlitestore.Options{})
	stored, failed := int64(0), 0
	for i := range 600 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%60)*50*time.Microsecond)
		if store.WriteHeartbeat(ctx, tally.Heartbeat{Instance: "a", Writes: map[string]int64{"blog": 1}}) == nil {
			stored++
		} else {
			failed++
		}
		cancel()
	}
	activity, err := store.Activity(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, a := range activity {
		sum += a.Writes
	}
	if sum != stored || failed == 0 {
		t.Errorf("the activity has %d writes; %d heartbeats were stored, %d failed", sum, stored, failed)
	}
}
