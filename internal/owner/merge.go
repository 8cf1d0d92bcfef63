package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Merge moves the contributions of the topics from to the topic to, whose count grows
// by theirs, and deletes them. Their names become aliases of to: a visitor who
// contributed to one of them is known as such at to. A visitor of several counts as
// often as before.
//
// While a topic is moved neither it nor to takes contributions (store_unavailable, for
// some milliseconds in most cases). The journal of from ends: its recent contributions
// cannot be reverted any more.
//
// A merge that was interrupted is finished by repeating it at any instance, or by a
// running one within [leaseTime] and a few seconds. Errors: [tally.CodeBadTopic] if the
// topics cannot be merged, [tally.CodeNotFound] if one of from does not exist,
// [tally.CodeBadAmount] if the sum would be too large, each before anything was done;
// [tally.CodeStoreUnavailable].
func (d *Service) Merge(ctx context.Context, actor string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	return d.merge(ctx, actor, "merge", from, to)
}

// Rename is Merge of one topic into one that does not exist.
func (d *Service) Rename(ctx context.Context, actor string, from, to tally.Topic) (tally.Change, error) {
	return d.merge(ctx, actor, "rename", []tally.Topic{from}, to)
}

func (d *Service) merge(ctx context.Context, actor, action string, from []tally.Topic, to tally.Topic) (tally.Change, error) {
	from = slices.Clone(from)
	slices.SortFunc(from, func(a, b tally.Topic) int { return strings.Compare(a.String(), b.String()) })
	from = slices.Compact(from)
	rename := action == "rename"
	if err := d.mergeable(from, to); err != nil {
		return tally.Change{}, err
	}
	left, err := d.unmerged(ctx, from, to, rename)
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
	// First, so that the log has what a crash interrupts.
	if err := d.announce(ctx, actor, action, target, fmt.Sprintf("begins, at count %d", before.Count)); err != nil {
		return tally.Change{}, err
	}
	for _, topic := range left {
		if err := d.mergeOne(ctx, topic, to, rename); err != nil {
			return tally.Change{}, fmt.Errorf("%s %s into %s: %w", action, topic, to, err)
		}
	}
	after, err := d.Get(ctx, to)
	if err != nil {
		return tally.Change{}, err
	}
	return after.Change, d.Audit(ctx, actor, action, target, fmt.Sprintf("count %d → %d", before.Count, after.Count))
}

// mergeable reports whether topics may be merged at all. Errors: [tally.CodeBadTopic],
// [tally.CodeReadOnlyMetric], [tally.CodeUnknownSite], [tally.CodeUnknownMetric].
func (d *Service) mergeable(from []tally.Topic, to tally.Topic) error {
	if len(from) == 0 {
		return tally.Errorf(tally.CodeBadTopic, "no topic is named that is to be merged into %s", to)
	}
	for _, topic := range append(slices.Clone(from), to) {
		if err := d.catalog.CheckEditable(topic); err != nil {
			return err
		}
	}
	for _, topic := range from {
		switch {
		case topic == to:
			return tally.Errorf(tally.CodeBadTopic, "%s cannot be merged into itself", to)
		case d.catalog.Rule(topic) != d.catalog.Rule(to):
			return tally.Errorf(tally.CodeBadTopic, "%s and %s cannot be merged: their metrics have different rules", topic, to)
		}
	}
	return nil
}

// unmerged returns those of from that are still to be merged into to.
func (d *Service) unmerged(ctx context.Context, from []tally.Topic, to tally.Topic, rename bool) (left []tally.Topic, err error) {
	if err := d.rejectOlderInstances(ctx); err != nil {
		return nil, err
	}
	register, err := d.loadSettings(ctx)
	if err != nil {
		return nil, err
	}
	aliases, err := tally.TopicAliases(register, to)
	if err != nil {
		return nil, err
	}
	for _, topic := range from {
		state, err := d.Get(ctx, topic)
		switch {
		case err != nil:
			return nil, err
		case state.Version != 0 || register[tally.ClaimSetting(topic)] != "":
			left = append(left, topic)
		case !slices.Contains(aliases, topic): // else it was merged before
			return nil, tally.Errorf(tally.CodeNotFound, "%s does not exist", topic)
		}
	}
	if rename && len(left) > 0 && register[tally.ClaimSetting(to)] == "" {
		return left, d.rejectExisting(ctx, to)
	}
	return left, nil
}

// rejectExisting reports whether a topic may get the name of to.
func (d *Service) rejectExisting(ctx context.Context, to tally.Topic) error {
	state, err := d.Get(ctx, to)
	if err == nil && state.Version != 0 {
		err = tally.Errorf(tally.CodeBadTopic, "%s exists already; merging adds one topic to another", to)
	}
	return err
}

// statusFormat is the version of what instances promise to each other, in the heartbeat
// of each. From 2 on an instance heeds the marks of topics.
const statusFormat = 2

// rejectOlderInstances refuses to merge while an instance of a release runs that does
// not heed marks: it would count visitors twice.
func (d *Service) rejectOlderInstances(ctx context.Context) error {
	pulses, err := d.store.Heartbeats(ctx)
	if err != nil {
		return err
	}
	for _, pulse := range pulses {
		var status struct {
			Format  int    `json:"format"`
			Version string `json:"version"`
		}
		if json.Unmarshal(pulse.Status, &status) == nil && status.Format < statusFormat {
			return &tally.Error{
				Code: tally.CodeStoreUnavailable,
				Message: fmt.Sprintf("an instance of an older release (%s) uses this store and would count visitors of a merged topic twice; "+
					"try again when it was replaced", status.Version),
				RetryAfter: tally.HeartbeatTTL,
			}
		}
	}
	return nil
}

// mergeOne merges one topic into another.
func (d *Service) mergeOne(ctx context.Context, from, to tally.Topic, rename bool) error {
	l, err := d.acquire(ctx, claim{From: from.String(), To: to.String(), Rename: rename})
	if err != nil {
		return err
	}
	err = l.merge(ctx)
	l.end(ctx, err)
	d.reload(ctx)
	if errors.Is(err, errNothingToMerge) {
		return d.checkMerged(ctx, from, to)
	}
	return err
}

// checkMerged reports whether from, which does not exist, was merged into to before.
// Errors: [tally.CodeNotFound] if not.
func (d *Service) checkMerged(ctx context.Context, from, to tally.Topic) error {
	register, err := d.store.Settings(ctx)
	if err != nil {
		return err
	}
	aliases, err := tally.TopicAliases(register, to)
	if err == nil && !slices.Contains(aliases, from) {
		err = tally.Errorf(tally.CodeNotFound, "%s does not exist", from)
	}
	return err
}

var errNothingToMerge = errors.New("the topic does not exist")

// merge carries out the claim, from the step that an instance before it reached. Its steps
// are facts, so that repeating one changes nothing:
//
//  1. Freeze both topics.
//  2. Add the aliases of to, and store in its mark the count that it had.
//  3. Copy the contributions; of a member that is in both the greater amount remains.
//  4. Set the count of to to the sum of what it had and what from has, by its adjustment,
//     and note in its mark that it was set.
//  5. Delete from, and with it its mark.
//  6. Release to.
//
// From is frozen before to, and to until the end: if the count was set and from is not
// frozen, then from was deleted.
func (l *lease) merge(ctx context.Context) error {
	from, to, err := l.topics()
	if err != nil {
		return err
	}
	if l.From == "" {
		return l.release(ctx, to) // the aliases were to be forgotten; they stay
	}
	found, err := l.frozen(ctx, to)
	if err != nil {
		return err
	}
	left := true
	if found.isFrozen {
		left, err = l.frozenAgain(ctx, from, found)
	} else {
		err = l.freeze(ctx, from, to)
	}
	if err != nil {
		return err
	}
	if left {
		p, err := l.prepare(ctx, from, to)
		if err != nil && !retryable(err) && !p.hasBegun {
			return l.refuse(ctx, err, to, from) // from last, see freeze
		}
		if err == nil {
			err = l.move(ctx, from, to, p)
		}
		if err != nil && !retryable(err) {
			err = tally.Unavailable(err) // contributions may be in both topics: the merge must go on
		}
		if err != nil {
			return err
		}
	}
	if err := l.release(ctx, to); err != nil {
		return err
	}
	return l.forgetName(ctx, from)
}

// progress is what the mark of a topic says of this merge.
type progress struct {
	isFrozen bool
	hasCount bool  // count is known; something may have been copied
	count    int64 // that the topic had before
	isSet    bool  // the sum was set
}

// countSet ends the detail of the mark once the sum was set.
const countSet = ":set"

// frozen returns the progress that the mark of a topic tells.
func (l *lease) frozen(ctx context.Context, topic tally.Topic) (p progress, err error) {
	mark, err := l.service.store.SwapMark(ctx, topic, "", "")
	if err != nil {
		return p, err
	}
	id, detail, ok := tally.ParseFrozenMark(mark)
	if p.isFrozen = ok && id == l.ID; !p.isFrozen || detail == "" {
		return p, nil
	}
	detail, p.isSet = strings.CutSuffix(detail, countSet)
	p.hasCount = true
	if p.count, err = strconv.ParseInt(detail, 10, 64); err != nil {
		return p, tally.Unavailable(fmt.Errorf("mark of %s: %w", topic, err))
	}
	return p, nil
}

// markOf returns the mark of the target at that progress.
func (l *lease) markOf(p progress) string {
	detail := ""
	if p.hasCount {
		detail = strconv.FormatInt(p.count, 10)
	}
	if p.isSet {
		detail += countSet
	}
	return tally.FrozenMark(l.ID, detail)
}

// frozenAgain reports whether from is still to be moved, and freezes it again if a
// failover of the store lost its mark.
func (l *lease) frozenAgain(ctx context.Context, from tally.Topic, target progress) (left bool, err error) {
	source, err := l.frozen(ctx, from)
	if err != nil || source.isFrozen || target.isSet {
		return source.isFrozen, err
	}
	if err := l.mark(ctx, from, tally.FrozenMark(l.ID, "")); err != nil {
		return false, err
	}
	state, err := l.service.Get(ctx, from)
	if err == nil && state.Version == 0 { // lost with its mark
		return false, l.release(ctx, from)
	}
	return true, err
}

// freeze gives both topics the mark of this merge, from first. Where from does not
// exist it is [errNothingToMerge], and no topic is frozen.
func (l *lease) freeze(ctx context.Context, from, to tally.Topic) error {
	frozen := tally.FrozenMark(l.ID, "")
	if err := l.mark(ctx, from, frozen); err != nil {
		return err
	}
	state, err := l.service.Get(ctx, from)
	if err != nil {
		return tally.Unavailable(err)
	}
	if state.Version == 0 {
		return l.refuse(ctx, errNothingToMerge, from)
	}
	return l.mark(ctx, to, frozen)
}

// refuse ends a merge before anything was copied: it releases the topics and returns the
// reason. Where that fails the merge is not over: the error is one to be repeated.
func (l *lease) refuse(ctx context.Context, reason error, frozen ...tally.Topic) error {
	for _, topic := range frozen {
		if err := l.release(ctx, topic); err != nil {
			return tally.Unavailable(err)
		}
	}
	return reason
}

// mark sets the mark of a topic that this merge has claimed, whatever it is.
func (l *lease) mark(ctx context.Context, topic tally.Topic, mark string) error {
	return l.step(ctx, func(ctx context.Context) error {
		for expected := ""; ; {
			current, err := l.service.store.SwapMark(ctx, topic, expected, mark)
			if err != nil || current == mark {
				return err
			}
			expected = current
		}
	})
}

// release ends the freezing of a topic: it gets the mark of its aliases.
func (l *lease) release(ctx context.Context, topic tally.Topic) error {
	register, err := l.service.store.Settings(ctx)
	if err != nil {
		return err
	}
	return l.mark(ctx, topic, tally.AliasMark(register, topic))
}

// prepared is what a merge knows before it copies anything.
type prepared struct {
	progress       // of the target
	sum      int64 // the count that it is to have
	hasBegun bool  // something may have been copied
}

// prepare decides what the merge makes of to, both topics being frozen, and adds its
// aliases. It refuses a rename to a topic that exists, and a sum that is too large.
func (l *lease) prepare(ctx context.Context, from, to tally.Topic) (p prepared, err error) {
	d := l.service
	source, err := d.Get(ctx, from)
	if err == nil && source.Version == 0 {
		err = tally.Unavailable(errors.New("another instance deleted the topic")) // it has the claim by now
	}
	if err != nil {
		return p, err
	}
	if p.progress, err = l.frozen(ctx, to); err != nil {
		return p, err
	}
	if p.hasBegun = p.hasCount; !p.hasBegun {
		if p.count, err = l.countBefore(ctx, to, source.Count); err != nil {
			return p, err
		}
	}
	p.sum = p.count + source.Count
	register, err := d.store.Settings(ctx)
	if err != nil {
		return p, err
	}
	aliases, err := tally.TopicAliases(register, from)
	if err != nil {
		return p, err
	}
	err = l.step(ctx, func(ctx context.Context) error {
		_, err := tally.AddAliases(ctx, d.store, to, append([]tally.Topic{from}, aliases...))
		return err
	})
	if err != nil || p.hasBegun {
		return p, err
	}
	p.hasCount = true
	return p, l.mark(ctx, to, l.markOf(p.progress))
}

// countBefore returns the count of to, which this merge has just frozen.
func (l *lease) countBefore(ctx context.Context, to tally.Topic, added int64) (int64, error) {
	if l.Rename {
		if err := l.service.rejectExisting(ctx, to); err != nil {
			return 0, err
		}
	}
	state, err := l.service.Get(ctx, to)
	if err == nil && state.Count+added > tally.MaxValue {
		err = tally.Errorf(tally.CodeBadAmount, "%s would count %d; at most %d can be stored", to, state.Count+added, int64(tally.MaxValue))
	}
	return state.Count, err
}

// move copies from into to, sets the count and deletes from.
func (l *lease) move(ctx context.Context, from, to tally.Topic, p prepared) error {
	mark := l.markOf(p.progress)
	if err := l.copy(ctx, from, to, mark); err != nil {
		return err
	}
	if err := l.edit(ctx, tally.Edit{Topic: to, Kind: tally.EditCount, Value: p.sum, Mark: mark}); err != nil {
		return err
	}
	p.isSet = true
	if err := l.mark(ctx, to, l.markOf(p.progress)); err != nil {
		return err
	}
	err := l.edit(ctx, tally.Edit{Topic: from, Kind: tally.EditDelete, Mark: tally.FrozenMark(l.ID, "")})
	if errors.Is(err, tally.ErrFrozen) { // it may have been deleted by a call whose reply was lost
		if source, frozenErr := l.frozen(ctx, from); frozenErr == nil && !source.isFrozen {
			return nil
		}
	}
	return err
}

// copiedAtOnce is how many portions one step copies: some tens of milliseconds.
const copiedAtOnce = 4

// copy stores the contributions of from at to.
func (l *lease) copy(ctx context.Context, from, to tally.Topic, mark string) error {
	state, err := l.service.Get(ctx, to)
	if err != nil {
		return err
	}
	rule := l.service.catalog.Rule(to)
	var batch []tally.Portion
	return l.service.store.Dump(ctx, tally.ScopeOf(from), func(p tally.Portion) error {
		for i := range p.Contributions { // the rule may have allowed more once; the sum stays
			p.Contributions[i].Amount = min(p.Contributions[i].Amount, rule.Max)
		}
		moved := tally.Portion{
			// The greater of seeds and adjustments remains: those that are stored.
			State:         tally.State{Change: tally.Change{Topic: to}, Seed: state.Seed, Adjustment: state.Adjustment},
			Contributions: slices.Clone(p.Contributions), // the store may use them again
			First:         p.First,
			Last:          p.Last,
			Mark:          mark,
		}
		if rule.Kind == tally.Window {
			moved.Version = p.Version // members of a window that ends meanwhile are not of the next
		}
		if batch = append(batch, moved); len(batch) < copiedAtOnce && !p.Last {
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

// forgetName removes what the register has of a topic that was merged: its aliases, and
// entries of releases that merged without claims.
func (l *lease) forgetName(ctx context.Context, topic tally.Topic) error {
	register, err := l.service.store.Settings(ctx)
	if err != nil {
		return err
	}
	aliases := tally.AliasSettings(topic)
	for name := range register {
		if slices.Contains(aliases, name) || name == "pause "+topic.String() || strings.HasPrefix(name, "merging "+topic.String()+"\n") {
			err := l.step(ctx, func(ctx context.Context) error { return l.service.store.SetSetting(ctx, name, "") })
			if err != nil {
				return err
			}
		}
	}
	return nil
}
