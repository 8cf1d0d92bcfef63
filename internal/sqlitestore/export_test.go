package sqlitestore

import (
	"context"
	"fmt"

	"github.com/tallycast/tallycast/internal/tally"
)

// LimitPages lets the file grow to no more than n pages, as a full disk does:
// SQLite answers SQLITE_FULL beyond. It returns how many there are at least.
func (s *Store) LimitPages(ctx context.Context, n int) (pages int, err error) {
	err = s.update(ctx, func(w *writer) ([]tally.Change, error) {
		return nil, w.conn.QueryRowContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&pages)
	})
	return pages, err
}

// Occupy keeps the writer busy, as a disk that hangs does, until release is
// called.
func (s *Store) Occupy() (release func()) {
	occupied, end := make(chan struct{}), make(chan struct{})
	go func() { // ends with release
		_ = s.update(context.Background(), func(*writer) ([]tally.Change, error) {
			close(occupied)
			<-end
			return nil, nil
		})
	}()
	<-occupied
	return func() { close(end) }
}
