package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

var (
	// errClosed is the cause of calls that fail after Close.
	errClosed = errors.New("the store was closed")
	// errBusy is the cause if a deadline ended the wait for a lock.
	errBusy = errors.New("another program keeps the file locked")
)

// primaryCode masks the primary part of SQLite's extended result codes
// (sqlite.org/rescode.html).
const primaryCode = 0xff

// explain adds the meaning of an SQLite error for the operator.
func explain(err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err
	}
	var meaning string
	if failed.Code() == lib.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("there is no room on the disk for the files beside it: %w", err)
	}
	switch failed.Code() & primaryCode {
	case lib.SQLITE_FULL:
		meaning = "there is no room for it on the disk"
	case lib.SQLITE_IOERR:
		meaning = "the disk failed"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		meaning = "the file may not be written"
	case lib.SQLITE_CORRUPT:
		meaning = "the file is corrupt"
	case lib.SQLITE_NOTADB:
		meaning = "the file is not an SQLite database"
	case lib.SQLITE_CANTOPEN:
		meaning = "the file, or one beside it, cannot be opened"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		meaning = "another program keeps the file locked"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", meaning, err)
}

// If a file alternately fails and works, as on a nearly full disk, lineBurst failures are logged
// at once, and then one in lineInterval.
const (
	lineBurst    = 3
	lineInterval = 10 * time.Second
)

// fault is the error of the last operation of one kind, nil while they succeed. The zero
// fault logs nothing.
type fault struct {
	last atomic.Pointer[error]

	log       *slog.Logger
	operation string        // "written" or "read"
	lines     *rate.Limiter // of failures

	mu       sync.Mutex
	isLogged bool // guarded by mu: the failure was logged, its end was not
}

// logTo makes f log when the operation begins to fail, and when it works again.
func (f *fault) logTo(log *slog.Logger, what string) {
	f.log, f.operation, f.lines = log, what, rate.NewLimiter(rate.Every(lineInterval), lineBurst)
}

// record stores the result of an operation. If its caller cancelled it, that is no fault of the
// file.
func (f *fault) record(err error) {
	isCancelled := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		if f.last.Load() != nil {
			f.last.Store(nil)
			f.logTransition(nil)
		}
	case !isCancelled || errors.Is(err, errBusy):
		err = explain(err)
		f.last.Store(&err)
		f.logTransition(err)
	}
}

// logTransition logs that the operation fails, or, if err is nil, works again.
func (f *fault) logTransition(err error) {
	if f.log == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil && f.isLogged:
		f.log.Info("sqlite: the file can be " + f.operation + " again")
		f.isLogged = false
	case err != nil && !f.isLogged && f.lines.Allow():
		f.log.Error("sqlite: the file cannot be "+f.operation, "cause", err)
		f.isLogged = true
	}
}

func (f *fault) err() error {
	if last := f.last.Load(); last != nil {
		return *last
	}
	return nil
}
