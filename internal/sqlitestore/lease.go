package sqlitestore

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// errLease is the cause if the lease has ended.
var errLease = errors.New("the lease ended, so another instance may write to the replica of this file (--lease-file)")

// checkLease returns an error if the modification time of the lease file is not in the future. A
// supervisor sets this time to the end of its lease. An empty path means that there is no lease.
func checkLease(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	if !time.Now().Before(info.ModTime()) {
		return errLease
	}
	return nil
}
