package owner

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Prune deletes the topics of scope, which names a site at least, that nobody touched
// since, and returns them. With preview it changes nothing and says what it would.
func (d *Desk) Prune(ctx context.Context, actor string, scope tally.Scope, untouchedSince time.Time, preview bool) ([]tally.State, error) {
	return nil, tally.Errorf(tally.CodeInternal, "not built yet")
}
