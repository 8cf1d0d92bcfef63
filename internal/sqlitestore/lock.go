package sqlitestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrLocked is the error if another process, or another Store of this one, holds the file.
var ErrLocked = errors.New("the database is in use")

// lockSuffix follows the database's name in the name of the lock file. The package does not lock
// the database itself: closing any descriptor of it would release SQLite's own POSIX locks.
const lockSuffix = ".lock"

// maxNote bounds the bytes that are read from a lock file. Its note has fewer than 100.
const maxNote = 256

// noteForm is the format of the note's beginning, which names the holder of the lock.
const noteForm = "process %d"

// lock is a held lock. The kernel releases it when the process ends. The file stays:
// removing it would let two processes lock two files of the same name.
type lock struct{ file *os.File }

// acquireLock locks the database at path. Its error names the holder.
func acquireLock(path string) (*lock, error) {
	name := path + lockSuffix
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		// The note is for people; only the lock matters.
		_ = file.Truncate(0)
		_, _ = fmt.Fprintf(file, noteForm+" (since %s)\n", os.Getpid(), time.Now().Format(time.RFC3339))
		return &lock{file}, nil
	}
	defer file.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: flock %s: %w", path, name, err)
	}
	note, _ := io.ReadAll(io.LimitReader(file, maxNote))
	holder := strings.TrimSpace(string(note))
	if holder == "" {
		holder = "a process that is starting"
	}
	return nil, fmt.Errorf("open %s: %w: %s holds %s%s; one process at a time writes an SQLite file, several instances share a Redis (--store redis://…)",
		path, ErrLocked, holder, name, killHint(holder))
}

// killHint returns how to end the process in the note of a lock: its parent, such as go run, is
// often gone, or does not end it. The hint is empty for this process, for a process that is not
// visible here, and for process 1, as in a container.
func killHint(holder string) string {
	var pid int
	if _, err := fmt.Sscanf(holder, noteForm, &pid); err != nil || pid <= 1 || pid == os.Getpid() {
		return ""
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return ""
	}
	return fmt.Sprintf(" (kill %d ends it)", pid)
}

// release releases the lock, even if a child process that was just forked still has a copy of
// the descriptor.
func (l *lock) release() error {
	return errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}
