package sqlitestore

import (
	"context"
	"fmt"

	"github.com/tallycast/tallycast/internal/tally"
)

// LimitPages limits the file to n pages, beyond which SQLite reports SQLITE_FULL as on a full
// disk. It returns the limit in effect, which is not below the present size.
func (s *Store) LimitPages(ctx context.Context, n int) (pages int, err error) {
	err = s.update(ctx, func(w *writer) ([]tally.Change, error) {
		return nil, w.conn.QueryRowContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&pages)
	})
	return pages, err
}

// Occupy blocks the writer until release is called, as a hung disk does.
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
