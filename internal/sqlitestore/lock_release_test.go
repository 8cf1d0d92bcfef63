package sqlitestore

import (
	"path/filepath"
	"syscall"
	"testing"
)

// The lock is free after its release, also if a child process still has a copy of the
// descriptor, as between fork and exec.
func TestLock_ReleaseWithCopiedDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	held, err := acquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(held.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	if err := held.release(); err != nil {
		t.Fatal(err)
	}
	again, err := acquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.release(); err != nil {
		t.Error(err)
	}
}
