package owner

import (
	"context"
	"net/netip"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Undo says which contributions are taken back: those to Topics, or where there are
// none to all of Scope, made from From to To, both included, from one of Sources or
// of the networks that Addresses are in, or where there is neither from anywhere.
type Undo struct {
	Scope     tally.Scope
	Topics    []tally.Topic
	From, To  time.Time // To zero: now
	Sources   []tally.Source
	Addresses []netip.Addr
}

// TopicTraces and SourceTraces are how many contributions were made.
type (
	TopicTraces struct {
		Topic         tally.Topic
		Contributions int
	}
	SourceTraces struct {
		Source        tally.Source
		Contributions int
	}
)

// Undone is what [Desk.Undo] took back, or would; the most first.
type Undone struct {
	Traces  int
	Topics  []TopicTraces
	Sources []SourceTraces
}

// Undo takes back recent contributions. With preview it changes nothing and says
// what it would.
func (d *Desk) Undo(ctx context.Context, actor string, spike Undo, preview bool) (Undone, error) {
	return Undone{}, tally.Errorf(tally.CodeInternal, "not built yet")
}
