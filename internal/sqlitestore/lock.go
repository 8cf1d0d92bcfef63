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

// ErrLocked says that another process, or another Store of this one, holds the file.
var ErrLocked = errors.New("the database is in use")

// lockSuffix follows the database's name in that of the file which is locked. The
// database itself is not: closing any descriptor of it would drop SQLite's own
// POSIX locks of this process.
const lockSuffix = ".lock"

// maxNote bounds what is read of a lock file, in bytes; its note has less than 100.
const maxNote = 256

// noteForm begins the note: who holds the lock.
const noteForm = "process %d,"

// lock is held from open to close. The kernel gives it back when the process
// ends, however it ends. The file stays, since removing it would let two
// processes lock two files of the same name.
type lock struct{ file *os.File }

// acquireLock locks the database at path or says who holds it.
func acquireLock(path string) (*lock, error) {
	name := path + lockSuffix
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		// The note is for people; what counts is the lock.
		_ = file.Truncate(0)
		_, _ = fmt.Fprintf(file, noteForm+" since %s\n", os.Getpid(), time.Now().Format(time.RFC3339))
		return &lock{file}, nil
	}
	defer file.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: flock %s: %w", path, name, err)
	}
	note, _ := io.ReadAll(io.LimitReader(file, maxNote))
	holder := strings.TrimSpace(string(note))
	if holder == "" {
		holder = "a process that has only begun"
	}
	return nil, fmt.Errorf("open %s: %w: %s holds %s%s; one process at a time writes an SQLite file, several instances share a Redis (--store redis://…)",
		path, ErrLocked, holder, name, killHint(holder))
}

// killHint says how the holder of that note is ended, since what a terminal shows
// is often its parent, such as go run, whose end leaves it running. It says nothing
// of this process, of one that is not seen from here, or of process 1: the note of
// a container has the number that counts inside.
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

// release gives the lock back.
func (l *lock) release() error { return l.file.Close() }
