package owner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// pauseFor is how long a topic takes no contributions while it is carried to
	// another, unless that is said again or ended before. What a crash leaves behind
	// ends after it.
	pauseFor = 10 * time.Second
	// beforePause is how often the topic that others go into may change under an
	// adjustment before it is paused, too.
	beforePause = 3
)

// Merge makes the contributions of each from ones of to, adds their seeds and
// adjustments to the adjustment of to, and ends them. Visitors who contributed to
// one of them are known as such at to. Whoever contributed to several counts as
// often as before: the store does not know that it is one visitor.
//
// Each contribution that was acknowledged counts afterwards. While one of from is
// carried over it takes no contributions (store_unavailable, for mostly some
// milliseconds); what is taken back at that moment may be counted all the same. The
// recent contributions of from cannot be undone any more: their journal ends.
//
// A Merge that was cut off is finished by repeating it, at any instance; several may
// be at it at once. Errors: [tally.CodeBadTopic] where the topics cannot be merged,
// [tally.CodeNotFound] where one of from does not exist, before anything was done;
// [tally.CodeStoreUnavailable].
func (d *Desk) Merge(ctx context.Context, actor string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	return d.merge(ctx, actor, "merge", from, to)
}

// Rename is Merge of one topic into one that does not exist, or that a Rename which
// was cut off made.
func (d *Desk) Rename(ctx context.Context, actor string, from, to tally.Topic) (tally.Change, error) {
	there, err := d.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	if there.Version != 0 {
		register, err := d.store.Register(ctx)
		if err != nil {
			return tally.Change{}, err
		}
		if len(readIntents(register, from)) == 0 {
			return tally.Change{}, tally.Errorf(tally.CodeBadTopic, "%s exists already; merging adds one topic to another", to)
		}
	}
	return d.merge(ctx, actor, "rename", []tally.Topic{from}, to)
}

func (d *Desk) merge(ctx context.Context, actor, action string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	select {
	case d.merging <- struct{}{}:
		defer func() { <-d.merging }()
	case <-ctx.Done():
		return tally.Change{}, tally.Unavailable(ctx.Err())
	}
	from = slices.Clone(from)
	slices.SortFunc(from, func(a, b tally.Topic) int { return strings.Compare(a.String(), b.String()) })
	from = slices.Compact(from)
	left, err := d.mergeable(ctx, from, to)
	if err != nil {
		return tally.Change{}, err
	}
	before, err := d.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	names := make([]string, len(from))
	for i, topic := range from {
		names[i] = topic.String()
	}
	target := strings.Join(names, ", ") + " → " + to.String()
	// First, so that the log has what a crash cuts off.
	if err := d.announce(ctx, actor, action, target, fmt.Sprintf("begins, at count %d", before.Count)); err != nil {
		return tally.Change{}, err
	}
	for _, topic := range left {
		if err := d.mergeOne(ctx, topic, to); err != nil {
			return tally.Change{}, fmt.Errorf("merge %s into %s: %w", topic, to, err)
		}
	}
	after, err := d.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	return after.Change, d.Audit(ctx, actor, action, target, fmt.Sprintf("count %d → %d", before.Count, after.Count))
}

// mergeable returns those of from that have yet to be merged into to.
func (d *Desk) mergeable(ctx context.Context, from []tally.Topic, to tally.Topic) (left []tally.Topic, err error) {
	if len(from) == 0 {
		return nil, tally.Errorf(tally.CodeBadTopic, "a topic should be named that goes into %s", to)
	}
	for _, topic := range append(slices.Clone(from), to) {
		if err := d.countable(topic); err != nil {
			return nil, err
		}
	}
	register, err := d.obey(ctx)
	if err != nil {
		return nil, err
	}
	former, err := formerNames(register, to)
	if err != nil {
		return nil, err
	}
	for _, topic := range from {
		intents := readIntents(register, topic)
		switch i := slices.IndexFunc(intents, func(i intent) bool { return i.To != to.String() }); {
		case topic == to:
			return nil, tally.Errorf(tally.CodeBadTopic, "%s cannot go into itself", to)
		case d.catalog.Rule(topic) != d.catalog.Rule(to):
			return nil, tally.Errorf(tally.CodeBadTopic, "%s counts by another rule than %s", topic.Metric(), to.Metric())
		case i >= 0:
			return nil, tally.Errorf(tally.CodeBadTopic, "%s is on its way into %s; repeat that, which finishes it", topic, intents[i].To)
		}
		state, err := d.Get(ctx, topic)
		if err != nil {
			return nil, err
		}
		switch {
		case state.Version != 0 || len(intents) > 0:
			left = append(left, topic)
		case !slices.Contains(former, topic): // where it is there, it went into to before
			return nil, tally.Errorf(tally.CodeNotFound, "nobody has touched %s", topic)
		}
	}
	return left, nil
}

// mergeOne carries one topic into another, or finishes that.
func (d *Desk) mergeOne(ctx context.Context, from, to tally.Topic) error {
	for {
		if err := d.nameFormer(ctx, from, to); err != nil {
			return err
		}
		if err := d.pause(ctx, from); err != nil {
			return err
		}
		// Read before its contributions are: whatever changes later changes it, too.
		version, err := d.version(ctx, from)
		if err != nil {
			return err
		}
		if version == 0 {
			return d.finish(ctx, from, to)
		}
		carried, err := d.carry(ctx, from, to)
		if err != nil {
			return err
		}
		unchanged, err := d.addSeed(ctx, from, to, carried, version)
		if err != nil {
			return err
		}
		if !unchanged {
			continue
		}
		end := []tally.Edit{{Topic: from, Kind: tally.EditDelete, IfVersion: version}}
		if d.store.Edit(ctx, end); end[0].Err != nil {
			return end[0].Err
		}
		if end[0].Changed {
			// Whoever emptied to meanwhile may have removed them, see forgetFormer.
			if err := d.nameFormer(ctx, from, to); err != nil {
				return err
			}
			// What is brought into being under its name from now on is another.
			return d.finish(ctx, from, to)
		}
	}
}

// nameFormer tells all instances that members of to may be known under the names of
// from, and by those that from had before.
func (d *Desk) nameFormer(ctx context.Context, from, to tally.Topic) error {
	register, err := d.store.Register(ctx)
	if err != nil {
		return err
	}
	further, err := formerNames(register, from)
	if err != nil {
		return err
	}
	return d.addFormer(ctx, to, append([]tally.Topic{from}, further...))
}

// addFormer adds names to those under which contributions of topic were made.
func (d *Desk) addFormer(ctx context.Context, topic tally.Topic, former []tally.Topic) error {
	register, err := d.store.Register(ctx)
	if err != nil {
		return err
	}
	known, err := formerNames(register, topic)
	if err != nil {
		return err
	}
	names := slices.Clone(known)
	for _, name := range former {
		if name != topic && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == len(known) {
		return nil
	}
	name, value := tally.FormerOrder(topic, names)
	return d.order(ctx, name, value)
}

func (d *Desk) pause(ctx context.Context, topic tally.Topic) error {
	name, value := tally.PauseOrder(topic, d.now().Add(pauseFor))
	return d.order(ctx, name, value)
}

// formerNames returns the names under which contributions of topic were made,
// beside its own.
func formerNames(register map[string]string, topic tally.Topic) ([]tally.Topic, error) {
	name, _ := tally.FormerOrder(topic, nil)
	former, err := tally.ReadFormer(register[name])
	if err != nil {
		return nil, &tally.Error{
			Code:    tally.CodeInternal,
			Message: fmt.Sprintf("the names that %s had before cannot be read; nothing is done that would lose them", topic),
			Err:     fmt.Errorf("register entry %q: %w", name, err),
		}
	}
	return former, nil
}

// version returns the version of a topic, 0 where it does not exist.
func (d *Desk) version(ctx context.Context, topic tally.Topic) (int64, error) {
	state, err := d.Get(ctx, topic) // not Store.Read, which also answers the end of a topic
	return state.Version, err
}

// carry makes the contributions of from ones of to, and returns the last portion of
// from.
func (d *Desk) carry(ctx context.Context, from, to tally.Topic) (last tally.Portion, err error) {
	state, err := d.Get(ctx, to)
	if err != nil {
		return last, err
	}
	paused := d.now()
	err = d.store.Dump(ctx, tally.ScopeOf(from), func(p tally.Portion) error {
		last = p
		last.Contributions = nil
		moved := tally.Portion{
			// The greater of seeds and adjustments holds, and so does what is there.
			State:         tally.State{Change: tally.Change{Topic: to}, Seed: state.Seed, Adjustment: state.Adjustment},
			Contributions: p.Contributions,
			First:         p.First,
			Last:          p.Last,
		}
		if err := d.store.Restore(ctx, false, []tally.Portion{moved}); err != nil {
			return err
		}
		if d.now().Sub(paused) > pauseFor/2 {
			if err := d.pause(ctx, from); err != nil {
				return err
			}
			paused = d.now()
		}
		return nil
	})
	return last, err
}

// finish removes what the merging of a topic that is gone left in the register.
func (d *Desk) finish(ctx context.Context, from, to tally.Topic) error {
	register, err := d.store.Register(ctx)
	if err != nil {
		return err
	}
	former, _ := tally.FormerOrder(from, nil)
	pauseFrom, _ := tally.PauseOrder(from, time.Time{})
	pauseTo, _ := tally.PauseOrder(to, time.Time{})
	for name := range register {
		if name == former || name == pauseFrom || name == pauseTo || strings.HasPrefix(name, intentPrefix(from)) {
			if err := d.order(ctx, name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
