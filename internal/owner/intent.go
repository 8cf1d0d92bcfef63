package owner

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// intent is an entry of the register that says what a merging makes of the
// adjustment of the topic that others go into, before it does. With it, whoever
// repeats the merging after a crash, or does it at the same time, knows whether the
// adjustment that is there has what is to be added already.
//
// An instance keeps one for each topic that it merges. It is removed once the topic
// that goes is gone.
type intent struct {
	To     string `json:"to"`
	Base   int64  `json:"base"`   // the adjustment without anything of the topic that goes
	Was    int64  `json:"was"`    // the one that was there when Target was decided
	Target int64  `json:"target"` // the one that is to be
}

// intentPrefix is what the names of the entries for from begin with; an instance
// follows. No topic has a line feed in its name.
func intentPrefix(from tally.Topic) string { return "merging " + from.String() + "\n" }

// readIntents returns the intents of all instances for a topic that goes. One that
// cannot be read is none: nothing was done by it that this version can know of.
func readIntents(register map[string]string, from tally.Topic) (intents []intent) {
	for _, name := range slices.Sorted(maps.Keys(register)) {
		if !strings.HasPrefix(name, intentPrefix(from)) {
			continue
		}
		var i intent
		if json.Unmarshal([]byte(register[name]), &i) == nil {
			intents = append(intents, i)
		}
	}
	return intents
}

// addSeed adds seed and adjustment of from, as carried has them, to the adjustment of
// to, once, and for a window metric what it counted: its contributions are forgotten
// in time, and counted nowhere else. It is false where from has another version by
// now, and has to be carried again.
//
// The order of reading makes it safe for several at once. The adjustment is read
// first, the intents second: one that made the adjustment what it is stands there
// already, and is removed only after from is gone, which the third look finds out.
// An adjustment that somebody else changed meanwhile changes the version of to.
func (d *Desk) addSeed(ctx context.Context, from, to tally.Topic, carried tally.Portion, version int64) (unchanged bool, err error) {
	counted := int64(0)
	if d.catalog.Rule(from).Kind == tally.Window {
		counted = carried.Counted
	}
	add := carried.Seed + carried.Adjustment + counted
	mine := intentPrefix(from) + d.instance
	for attempt := 0; ; attempt++ {
		if attempt >= beforePause {
			if err := d.pause(ctx, to); err != nil {
				return false, err
			}
		}
		state, err := d.Get(ctx, to)
		if err != nil {
			return false, err
		}
		register, err := d.store.Register(ctx)
		if err != nil {
			return false, err
		}
		base := state.Adjustment
		for _, i := range readIntents(register, from) {
			if (state.Adjustment == i.Target || state.Adjustment == i.Was) && !bornSince(carried, counted, state.Adjustment-i.Base) {
				base = i.Base
			}
		}
		will := intent{To: to.String(), Base: base, Was: state.Adjustment, Target: base + add}
		text, err := json.Marshal(will)
		if err != nil {
			return false, err
		}
		if register[mine] != string(text) {
			if err := d.store.SetRegister(ctx, mine, string(text)); err != nil {
				return false, err
			}
		}
		now, err := d.version(ctx, from)
		if err != nil || now != version {
			return false, err
		}
		if state.Adjustment == will.Target {
			return true, nil
		}
		edit := []tally.Edit{{Topic: to, Kind: tally.EditAdjustment, Value: will.Target, IfVersion: state.Version}}
		if d.store.Edit(ctx, edit); edit[0].Err != nil {
			return false, edit[0].Err
		}
		if edit[0].Changed {
			return true, nil
		}
	}
}

// bornSince tells whether a topic is another than the one of the same name of which
// added went elsewhere: a crash may leave an intent behind whose topic is gone, and
// visitors may bring one of its name into being. That has neither seed nor
// adjustment, and less counted than went.
func bornSince(topic tally.Portion, counted, added int64) bool {
	return topic.Seed == 0 && topic.Adjustment == 0 && added != 0 && (added < 0 || counted < added)
}
