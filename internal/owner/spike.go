package owner

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Spike is a topic with far more contributions than usual, from few sources or in a
// short time.
type Spike struct {
	Topic         tally.Topic
	From, To      time.Time // of the contributions; what Undo takes
	Contributions int
	Usual         int            // what the topic gets in as much time
	Sources       []SourceTraces // the most first; empty where they are many
}

// Spikes returns what looks unlike visitors within the time since, the most first.
func (d *Desk) Spikes(ctx context.Context, scope tally.Scope, since time.Duration) ([]Spike, error) {
	return nil, tally.Errorf(tally.CodeInternal, "not built yet")
}
