package sqlitestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// A store with a lease file acknowledges writes only while the file's time is in the future.
func TestLease_Writes(t *testing.T) {
	dir := t.TempDir()
	lease := filepath.Join(dir, "lease")
	store := open(t, filepath.Join(dir, "tally.db"), catalog(), sqlitestore.Options{LeaseFile: lease})
	extend := func(d time.Duration) {
		t.Helper()
		until := time.Now().Add(d)
		if err := os.Chtimes(lease, until, until); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		var unavailable *tally.Error
		if n, err := fill(store, 1); n != 0 || !errors.As(err, &unavailable) || !strings.Contains(err.Error(), why) {
			t.Errorf("%d writes were acknowledged, error %v", n, err)
		}
		if health := store.Health(); health.Err == nil || !strings.Contains(health.Err.Error(), why) {
			t.Errorf("health: %+v", health)
		}
	}
	refused("no such file")
	if err := os.WriteFile(lease, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	extend(time.Hour)
	if _, err := fill(store, 1); err != nil || store.Health().Err != nil {
		t.Error(err, store.Health())
	}
	extend(-time.Millisecond)
	refused("lease ended")
	extend(time.Hour)
	if _, err := fill(store, 1); err != nil || store.Health().Err != nil {
		t.Error(err, store.Health())
	}
}
