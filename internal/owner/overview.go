package owner

import (
	"context"
	"encoding/json"

	"github.com/tallycast/tallycast/internal/tally"
)

// Overview is what an owner sees at a glance.
type Overview struct {
	Instances []json.RawMessage `json:"instances"` // what each says of itself, see Options.Status
	Activity  []tally.Activity  `json:"activity"`  // of the last day, the oldest first
	Usage     []tally.SiteUsage `json:"usage"`     // as of some minutes ago
	Store     StoreHealth       `json:"store"`
}

// StoreHealth is how this instance finds the store.
type StoreHealth struct {
	Reached bool   `json:"reached"`
	Error   string `json:"error,omitempty"`
}

// Overview returns what there is to see. Errors: [tally.CodeStoreUnavailable].
func (d *Desk) Overview(ctx context.Context) (Overview, error) {
	return Overview{}, tally.Errorf(tally.CodeInternal, "not built yet")
}

// Run sends pulses and follows the register until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
