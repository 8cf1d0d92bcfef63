package owner

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Forget takes back what a visitor contributed within scope, final or not, and
// returns how many contributions that were.
func (d *Desk) Forget(ctx context.Context, actor, visitor string, scope tally.Scope) (int, error) {
	return 0, tally.Errorf(tally.CodeInternal, "not built yet")
}
