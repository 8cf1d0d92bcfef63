package tally

import (
	"fmt"
	"strings"
)

// count = seed + adjustment + sum of contributions, never below 0. If a withdrawn
// contribution would bring the count below 0, the adjustment rises instead, so that the
// equation holds at all times. In a choice metric the same is true of each option, and so
// of their sums.

// State is the stored state of a topic without its contributions.
type State struct {
	Change
	Seed       int64 // the last seed that was set; never below 0
	Adjustment int64 // added by the owner's edits; may be below 0

	// Of a choice metric, for each option; Seed and Adjustment are their sums. Else empty.
	SeedOptions, AdjustmentOptions Options
}

// EmptyState returns the state of a topic that does not exist.
func (r Rule) EmptyState(topic Topic) State {
	none := r.NoOptions()
	return State{Change: Change{Topic: topic, Options: none}, SeedOptions: none, AdjustmentOptions: none}
}

// PadState pads the lists of s, see [Rule.Pad].
func (r Rule) PadState(s *State) {
	s.Options, s.SeedOptions, s.AdjustmentOptions = r.Pad(s.Options), r.Pad(s.SeedOptions), r.Pad(s.AdjustmentOptions)
}

// Counts returns the count of s, Seeds its seed and Adjustments its adjustment.
func (s *State) Counts() Numbers      { return Numbers{s.Count, s.Options} }
func (s *State) Seeds() Numbers       { return Numbers{s.Seed, s.SeedOptions} }
func (s *State) Adjustments() Numbers { return Numbers{s.Adjustment, s.AdjustmentOptions} }

// Sum returns the sum of contributions.
func (s *State) Sum() int64 { return s.Count - s.Seed - s.Adjustment }

// SetSum sets the count for a sum of contributions. It raises the adjustment if the count
// would be below 0.
func (s *State) SetSum(sum int64) {
	s.Adjustment = max(s.Adjustment, -s.Seed-sum)
	s.Count = s.Seed + s.Adjustment + sum
}

// Sums returns the sums of contributions: in a choice metric the choices of each option,
// else one number.
func (s *State) Sums() []int64 {
	parts := s.parts()
	sums := make([]int64, len(parts))
	for i, p := range parts {
		sums[i] = p.sum
	}
	return sums
}

// SetSums is [State.SetSum] for the sums of [State.Sums]. Missing sums are 0.
func (s *State) SetSums(sums []int64) {
	parts := s.parts()
	for i := range parts {
		if parts[i].sum = 0; i < len(sums) {
			parts[i].sum = sums[i]
		}
	}
	s.setParts(parts)
}

// Add adds a contribution to sums, as [State.Sums] returns them.
func (r Rule) Add(sums []int64, amount int64) {
	switch {
	case r.Kind != Choice:
		sums[0] += amount
	case amount >= 1 && amount <= int64(len(sums)):
		sums[amount-1]++
	}
}

// MergeSeed sets the seed, of each option in a choice metric, to the greater one of s and
// other. The caller then sets the count with [State.SetSums].
func (s *State) MergeSeed(other *State) {
	s.Seed, s.SeedOptions = mergeNumbers(s.Seed, other.Seed, s.SeedOptions, other.SeedOptions)
}

// MergeAdjustment is [State.MergeSeed] for the adjustment.
func (s *State) MergeAdjustment(other *State) {
	s.Adjustment, s.AdjustmentOptions = mergeNumbers(s.Adjustment, other.Adjustment, s.AdjustmentOptions, other.AdjustmentOptions)
}

func mergeNumbers(a, b int64, aOptions, bOptions Options) (int64, Options) {
	if aOptions == "" {
		return max(a, b), ""
	}
	numbers := aOptions.Numbers()
	for i, n := range bOptions.Numbers() {
		if i < len(numbers) {
			numbers[i] = max(numbers[i], n)
		}
	}
	merged := NewOptions(numbers)
	return merged.Sum(), merged
}

// LowersCount reports whether the adjustment, or that of an option, is below 0.
func (s *State) LowersCount() bool {
	return s.Adjustment < 0 || strings.Contains(string(s.AdjustmentOptions), "-")
}

// Replace updates the count after a member's contribution changed from before to after; 0 is
// no contribution.
func (s *State) Replace(before, after int64) {
	if s.Options == "" {
		s.SetSum(max(0, s.Sum()+after-before))
		return
	}
	parts := s.parts()
	if before > 0 {
		parts[before-1].sum = max(0, parts[before-1].sum-1)
	}
	if after > 0 {
		parts[after-1].sum++
	}
	s.setParts(parts)
}

// part is the equation of one option, or of a topic without options.
type part struct{ seed, adjustment, sum int64 }

// parts returns the equation of each option, or the one of a topic without options.
func (s *State) parts() []part {
	if s.Options == "" {
		return []part{{s.Seed, s.Adjustment, s.Sum()}}
	}
	counts, seeds, adjustments := s.Options.Numbers(), s.SeedOptions.Numbers(), s.AdjustmentOptions.Numbers()
	parts := make([]part, len(counts))
	for i, count := range counts {
		parts[i] = part{seeds[i], adjustments[i], count - seeds[i] - adjustments[i]}
	}
	return parts
}

// setParts sets the numbers of s. It raises an adjustment if a count would be below 0.
func (s *State) setParts(parts []part) {
	isChoice := s.Options != ""
	counts, seeds, adjustments := make([]int64, len(parts)), make([]int64, len(parts)), make([]int64, len(parts))
	s.Count, s.Seed, s.Adjustment = 0, 0, 0
	for i, p := range parts {
		p.adjustment = max(p.adjustment, -p.seed-p.sum)
		counts[i], seeds[i], adjustments[i] = p.seed+p.adjustment+p.sum, p.seed, p.adjustment
		s.Count, s.Seed, s.Adjustment = s.Count+counts[i], s.Seed+p.seed, s.Adjustment+p.adjustment
	}
	if isChoice {
		s.Options, s.SeedOptions, s.AdjustmentOptions = NewOptions(counts), NewOptions(seeds), NewOptions(adjustments)
	}
}

// EditKind is the kind of an [Edit].
type EditKind uint8

const (
	// EditSeed sets the seed. If the topic has this seed already it changes nothing, so that
	// the edit can be repeated.
	EditSeed EditKind = iota + 1
	// EditAdjustment sets the adjustment.
	EditAdjustment
	// EditCount sets the count by changing the adjustment.
	EditCount
	// EditReset removes seed, adjustment, all contributions and the journal: the count is
	// 0, and every visitor may contribute again.
	EditReset
	// EditDelete is EditReset, and removes the topic. It publishes count 0 under the final
	// version, which Read returns for some time.
	EditDelete
	// EditWithdraw removes the contributions of Members, final ones too, and their journal
	// entries. For a window metric these are the members of the current window.
	EditWithdraw
	// EditBase sets the base, which is seed plus adjustment, by changing the adjustment.
	// Contributions stay, however often it is repeated.
	EditBase
)

// MaxValue bounds seeds, counts, adjustments in both directions, and the sum of a topic's
// contributions, so that their sums are integers which a JSON number holds exactly (2^53).
const MaxValue = 1 << 51

// Edit is one change by an owner to one topic of a metric other than presence.
// EditSeed, EditAdjustment, EditCount and EditBase create a missing topic, even with
// value 0; the other kinds do nothing to it.
type Edit struct {
	Topic   Topic
	Kind    EditKind
	Value   int64
	Options Options  // the value of each option in a choice metric, instead of Value
	Members []Member // at most MaxBatchWrites
	// IfVersion is the version that the topic must have, or 0 for any. If the topic has
	// another version, the edit does nothing and Changed is false.
	IfVersion int64
	// Mark is the mark of the merge if the edit is one of its steps, else empty. Err is
	// [ErrFrozen] if the topic does not admit it, see [AdmitsEdits].
	Mark string

	// Set by the store. If Err is set, the other results are not.

	Before  State // version 0 if the topic did not exist
	After   State // version 0 after EditDelete
	Changed bool
	Err     error
}

// Validate reports whether e is allowed for a topic with rule. Errors:
// [CodeReadOnlyMetric], [CodeBadAmount], and [CodeInternal] for edits that no caller
// should make.
func (e *Edit) Validate(rule Rule) error {
	if err := rule.CheckEditable(e.Topic.Metric()); err != nil {
		return err
	}
	least := int64(0)
	switch e.Kind {
	case EditSeed, EditCount, EditBase:
	case EditAdjustment:
		least = -MaxValue
	case EditWithdraw:
		if len(e.Members) > MaxBatchWrites {
			return Errorf(CodeInternal, "an edit withdraws at most %d members", MaxBatchWrites)
		}
	case EditReset, EditDelete:
	default:
		return Errorf(CodeInternal, "there is no edit of kind %d", e.Kind)
	}
	if !e.Creates() {
		return nil
	}
	if err := rule.checkNumbers(e.Topic.Metric(), e.Options); err != nil {
		return err
	}
	for _, value := range e.values() {
		if value < least || value > MaxValue {
			return Errorf(CodeBadAmount, "%s is a whole number from %d to %d", editNames[e.Kind], least, int64(MaxValue))
		}
	}
	return nil
}

// SetNumbers sets the value, or in a choice metric the value of each option.
func (e *Edit) SetNumbers(n Numbers) {
	if e.Value, e.Options = n.Total, n.Options; n.Options != "" {
		e.Value = 0
	}
}

// checkNumbers returns an error unless options has one number for each option of metric, whose
// rule is r, or none for a metric without options. Errors: [CodeBadAmount].
func (r Rule) checkNumbers(metric string, options Options) error {
	switch {
	case r.Kind != Choice && options != "":
		return Errorf(CodeBadAmount, "%s has no options: give one number, not a list", metric)
	case r.Kind == Choice && (options == "" || int64(options.Len()) != r.Max):
		return Errorf(CodeBadAmount, "%s has %d options: give a list of %[2]d numbers, one for each option, such as %s", metric, r.Max, exampleOptions(int(r.Max)))
	}
	return nil
}

// exampleOptions returns a list of n numbers for messages.
func exampleOptions(n int) string {
	return fmt.Sprint("[", zeros[:2*n-2], n, "]")
}

// values returns the value of each option, or the one of a topic without options.
func (e *Edit) values() []int64 {
	if e.Options == "" {
		return []int64{e.Value}
	}
	return e.Options.Numbers()
}

// editNames names what each kind of edit sets, for messages.
var editNames = map[EditKind]string{
	EditSeed: "a seed", EditAdjustment: "an adjustment", EditCount: "a count", EditBase: "what was counted before",
}

// Creates reports whether the edit creates a topic that does not exist.
func (e *Edit) Creates() bool { return editNames[e.Kind] != "" }

// Preview sets Before, After and Changed for a topic in state before, see [Rule.EmptyState]
// for one that does not exist. After has the version of before. The edit must be valid, see
// [Edit.Validate]. Preview ignores IfVersion, Mark and Members.
func (e *Edit) Preview(before State) {
	e.Before, e.After = before, before
	values, parts := e.values(), before.parts()
	for i := range parts {
		if i >= len(values) && e.Creates() {
			break // options that this instance does not know
		}
		switch p := &parts[i]; e.Kind {
		case EditSeed:
			p.seed = values[i]
		case EditAdjustment:
			p.adjustment = values[i]
		case EditCount:
			p.adjustment = values[i] - p.seed - p.sum
		case EditBase:
			p.adjustment = values[i] - p.seed
		case EditReset, EditDelete:
			*p = part{}
		}
	}
	e.After.setParts(parts)
	exists := before.Version != 0
	e.Changed = e.After != before || !exists && e.Creates() || exists && e.Kind == EditDelete
}
