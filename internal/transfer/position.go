package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrUnderWay says that another process imports the same file into the same store.
var ErrUnderWay = errors.New("another import of this file is under way")

// maxPositionBytes bounds what is read of a position's file; one has less than 1 KiB.
const maxPositionBytes = 64 << 10

// Position remembers, in a file, how far an import has come, so that one which was
// ended by a crash goes on where it was. It is locked against a second import. It is
// for one goroutine.
type Position struct {
	file *os.File
	path string
}

// place is what a position's file holds. All that precedes it is stored.
type place struct {
	Total  *Totals  `json:"total,omitempty"` // what the last line says, where it precedes it
	Import string   `json:"import"`          // identifies the file, the store and the way
	Offset int64    `json:"offset"`
	Line   int64    `json:"line"`
	Topic  string   `json:"topic"` // whose first line precedes it, and maybe not its last
	Report progress `json:"report"`
	Read   Totals   `json:"read"` // what the lines before it hold, refused or not
}

// progress is what a report counts.
type progress struct {
	Topics        int64 `json:"topics"`
	Contributions int64 `json:"contributions"`
	Orders        int64 `json:"orders"`
	Refused       int64 `json:"refused"`
}

// OpenPosition opens the position that is kept at path, and makes it if it is missing.
// Errors: [ErrUnderWay] and those of the file system.
func OpenPosition(path string) (*Position, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the position of the import: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrUnderWay)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Position{file: file, path: path}, nil
}

// load returns the place of the import that is so named; false where there is none.
// One that was torn by a crash is none: an import may begin anew at any time.
func (p *Position) load(name string) (place, bool) {
	var at place
	text, err := io.ReadAll(io.NewSectionReader(p.file, 0, maxPositionBytes))
	if err != nil || json.Unmarshal(text, &at) != nil || at.Import != name || at.Offset <= 0 || at.Line <= 0 {
		return place{}, false
	}
	return at, true
}

// save makes at the place from which a later import goes on.
func (p *Position) save(at place) error {
	text, _ := json.Marshal(at) // its fields cannot fail
	_, err := p.file.WriteAt(text, 0)
	if err == nil {
		err = p.file.Truncate(int64(len(text)))
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep the position of the import: %w", err)
	}
	return nil
}

// Remove ends the position, since the import came to its end.
func (p *Position) Remove() error { return errors.Join(os.Remove(p.path), p.file.Close()) }

// Close leaves the position for a later import. A file that holds none is removed.
func (p *Position) Close() error {
	if info, err := p.file.Stat(); err == nil && info.Size() == 0 {
		return p.Remove()
	}
	return p.file.Close()
}
