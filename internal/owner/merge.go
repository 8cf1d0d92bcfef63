package owner

import (
	"context"

	"github.com/tallycast/tallycast/internal/tally"
)

// Merge makes the contributions of each from ones of to, adds their seeds and
// adjustments to its adjustment, and ends them. Whoever contributed to both counts
// twice.
func (d *Desk) Merge(ctx context.Context, actor string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	return tally.Change{}, tally.Errorf(tally.CodeInternal, "not built yet")
}

// Rename is Merge of one topic into one that does not exist.
func (d *Desk) Rename(ctx context.Context, actor string, from, to tally.Topic) (tally.Change, error) {
	return tally.Change{}, tally.Errorf(tally.CodeInternal, "not built yet")
}
