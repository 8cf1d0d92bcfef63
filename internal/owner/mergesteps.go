package owner

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

var errNothingToMerge = errors.New("the topic does not exist")

// merge carries out the claim from the step that an earlier instance reached. Repeating a
// step changes nothing:
//
//  1. Freeze both topics, from first.
//  2. Add the aliases of to, and record the count that to has in its mark.
//  3. Copy the contributions; of a member of both topics the greater amount remains.
//  4. Set the count of to to the sum of its recorded count and the count of from, by its
//     adjustment, set its past to the sum of both pasts, and record that, atomically.
//  5. Delete from and its mark.
//  6. Renew the alias mark of to: an instance that looked for a visitor's contribution
//     before the copy, when it knew the aliases already, has to look again.
//  7. Release to.
//
// Therefore, if the count was set and from is not frozen, an earlier instance deleted from.
func (l *lease) merge(ctx context.Context) error {
	from, to, err := l.topics()
	if err != nil {
		return err
	}
	if l.From == "" { // the holder stopped while it removed the aliases of to, which now keeps them
		return l.release(ctx, to)
	}
	record, err := l.record(ctx, to)
	if err != nil {
		return err
	}
	isUnmoved := true // from is still to be moved
	if record.isFrozen {
		isUnmoved, err = l.refreeze(ctx, from, record)
	} else {
		err = l.freeze(ctx, from, to)
	}
	if err == nil && isUnmoved {
		err = l.move(ctx, from, to)
	}
	if err != nil {
		return err
	}
	if err := l.addAliases(ctx, to); err != nil {
		return err
	}
	if err := l.release(ctx, to); err != nil {
		return err
	}
	return l.removeAliases(ctx, from)
}

// freeze gives both topics the mark of this merge. If from does not exist, it returns
// [errNothingToMerge] and freezes no topic.
func (l *lease) freeze(ctx context.Context, from, to tally.Topic) error {
	if _, err := l.writeRecord(ctx, from, mergeRecord{}); err != nil {
		return err
	}
	state, err := l.service.Get(ctx, from)
	if err != nil {
		return tally.Unavailable(err)
	}
	if state.Version == 0 {
		return l.refuse(ctx, errNothingToMerge, from)
	}
	_, err = l.writeRecord(ctx, to, mergeRecord{})
	return err
}

// refreeze reports whether from is still to be moved. It freezes from again if a failover
// of the store lost its mark.
func (l *lease) refreeze(ctx context.Context, from tally.Topic, target mergeRecord) (isUnmoved bool, err error) {
	source, err := l.record(ctx, from)
	if err != nil || source.isFrozen || target.isSet {
		return source.isFrozen, err
	}
	if _, err := l.writeRecord(ctx, from, mergeRecord{}); err != nil {
		return false, err
	}
	state, err := l.service.Get(ctx, from)
	if err == nil && state.Version == 0 { // the failover lost the topic, too
		return false, l.release(ctx, from)
	}
	return true, err
}

// refuse ends a merge before anything was copied: it releases the topics and returns the
// reason. If that fails, the error is [tally.CodeStoreUnavailable], since the merge has not ended.
func (l *lease) refuse(ctx context.Context, reason error, frozen ...tally.Topic) error {
	for _, topic := range frozen {
		if err := l.release(ctx, topic); err != nil {
			return tally.Unavailable(err)
		}
	}
	return reason
}

// move copies from into to, sets the count and deletes from.
func (l *lease) move(ctx context.Context, from, to tally.Topic) error {
	record, sum, err := l.prepare(ctx, from, to)
	if err != nil && !tally.IsUnavailable(err) && !record.hasCount {
		return l.refuse(ctx, err, to, from)
	}
	if err == nil {
		err = l.moveCount(ctx, from, to, record, sum)
	}
	if err != nil && !tally.IsUnavailable(err) { // both topics may have the contributions, so the merge must go on
		err = tally.Unavailable(err)
	}
	return err
}

// prepare checks the merge of two frozen topics, adds the aliases of to and records its
// count. It returns the record and the sum of the counts. If the returned record has no
// count, nothing may have been copied.
func (l *lease) prepare(ctx context.Context, from, to tally.Topic) (record mergeRecord, sum tally.Numbers, err error) {
	s := l.service
	source, err := s.Get(ctx, from)
	if err == nil && source.Version == 0 {
		err = tally.Unavailable(errors.New("another instance, which has the claim now, deleted the topic"))
	}
	if err != nil {
		return record, tally.Numbers{}, err
	}
	if record, err = l.record(ctx, to); err != nil {
		return record, tally.Numbers{}, err
	}
	next := record
	if next.hasCount = true; !record.hasCount {
		if next.count, err = l.countBefore(ctx, to, source.Count); err != nil {
			return record, tally.Numbers{}, err
		}
	}
	settings, err := s.store.Settings(ctx, tally.AliasSettings(from)...)
	if err != nil {
		return record, tally.Numbers{}, err
	}
	aliases, err := tally.TopicAliases(settings, from)
	if err != nil {
		return record, tally.Numbers{}, err
	}
	err = l.addAliases(ctx, to, append([]tally.Topic{from}, aliases...)...)
	if err == nil && !record.hasCount {
		_, err = l.writeRecord(ctx, to, next)
	}
	if err != nil {
		return record, tally.Numbers{}, err
	}
	return next, next.count.Plus(source.Counts()), nil
}

// countBefore returns the count of to, which this merge has just frozen. It refuses a
// rename to a topic that exists, and a sum that is too large.
func (l *lease) countBefore(ctx context.Context, to tally.Topic, added int64) (tally.Numbers, error) {
	if l.Rename {
		if err := l.service.rejectExisting(ctx, to); err != nil {
			return tally.Numbers{}, err
		}
	}
	state, err := l.service.Get(ctx, to)
	if err == nil && state.Count+added > tally.MaxValue {
		err = tally.Errorf(tally.CodeBadAmount, "the count of %s would be %d; the maximum is %d", to, state.Count+added, int64(tally.MaxValue))
	}
	return state.Counts(), err
}

// moveCount copies the contributions, sets the count of to to sum and deletes from.
func (l *lease) moveCount(ctx context.Context, from, to tally.Topic, record mergeRecord, sum tally.Numbers) error {
	if !record.isSet {
		if err := l.copy(ctx, from, to, tally.FrozenMark(l.ID, record.detail())); err != nil {
			return err
		}
		if err := l.setCount(ctx, from, to, record, sum); err != nil {
			return err
		}
	}
	err := l.edit(ctx, tally.Edit{Topic: from, Kind: tally.EditDelete, Mark: tally.FrozenMark(l.ID, "")})
	if errors.Is(err, tally.ErrFrozen) { // an earlier call whose reply was lost may have deleted it
		if source, recordErr := l.record(ctx, from); recordErr == nil && !source.isFrozen {
			return nil
		}
	}
	return err
}

// setCount gives the target the count sum and the past of both topics, after the copy.
func (l *lease) setCount(ctx context.Context, from, to tally.Topic, record mergeRecord, sum tally.Numbers) error {
	var own, given [2]tally.History // by hour and by day
	for i, period := range []tally.Period{tally.Hour, tally.Day} {
		both := l.service.store.History(ctx, period, []tally.Topic{to, from})
		if err := cmp.Or(both[0].Err, both[1].Err); err != nil {
			return err
		}
		own[i], given[i] = both[0], both[1]
	}
	set := tally.Edit{Topic: to, Kind: tally.EditCount}
	set.SetNumbers(sum)
	set.Preview(own[0].State)
	raise := set.After.Adjustment - set.Before.Adjustment - given[0].Adjustment
	final := tally.Portion{State: set.After, Past: tally.MergePast(own, given, raise), Last: true, Mark: tally.FrozenMark(l.ID, record.detail())}
	final.Version = 0 // the next
	record.isSet = true
	final.NextMark = tally.FrozenMark(l.ID, record.detail())
	err := l.step(ctx, func(ctx context.Context) error {
		return l.service.store.Restore(ctx, false, []tally.Portion{final})
	})
	if errors.Is(err, tally.ErrFrozen) { // the reply of an earlier call may have been lost
		if target, recordErr := l.record(ctx, to); recordErr == nil && target.isSet {
			return nil
		}
	}
	return err
}

// addAliases adds aliases to those of a topic, and renews the mark of the list.
func (l *lease) addAliases(ctx context.Context, topic tally.Topic, aliases ...tally.Topic) error {
	return l.step(ctx, func(ctx context.Context) error {
		_, err := tally.AddSettings(ctx, l.service.store, map[tally.Topic][]tally.Topic{topic: aliases}, nil)
		return err
	})
}

// copyBatch is how many portions one step copies: some tens of milliseconds.
const copyBatch = 4

// copy stores the contributions of from in to.
func (l *lease) copy(ctx context.Context, from, to tally.Topic, mark string) error {
	state, err := l.service.Get(ctx, to)
	if err != nil {
		return err
	}
	rule := l.service.catalog.Rule(to)
	var batch []tally.Portion
	return l.service.store.Dump(ctx, tally.ScopeOf(from), func(p tally.Portion) error {
		contributions := slices.Clone(p.Contributions) // the store may reuse the slice
		for i := range contributions {                 // the maximum may have been higher; the sum remains
			contributions[i].Amount = min(contributions[i].Amount, rule.Max)
		}
		moved := tally.Portion{
			// With the stored seed and adjustment, Restore changes neither.
			State: tally.State{
				Change: tally.Change{Topic: to}, Seed: state.Seed, Adjustment: state.Adjustment,
				SeedOptions: state.SeedOptions, AdjustmentOptions: state.AdjustmentOptions,
			},
			Contributions: contributions,
			First:         p.First,
			Last:          p.Last,
			Mark:          mark,
		}
		if rule.Kind == tally.Window {
			moved.Version = p.Version // tells Restore the window of the members, which may end during the copy
		}
		if batch = append(batch, moved); len(batch) < copyBatch && !p.Last {
			return nil
		}
		err := l.step(ctx, func(ctx context.Context) error { return l.service.store.Restore(ctx, false, batch) })
		batch = batch[:0]
		return err
	})
}

// edit carries out one edit.
func (l *lease) edit(ctx context.Context, edit tally.Edit) error {
	return l.step(ctx, func(ctx context.Context) error {
		edits := []tally.Edit{edit}
		l.service.store.Edit(ctx, edits)
		return edits[0].Err
	})
}
