package tally

// count = seed + adjustment + sum of contributions, never below 0. If a withdrawn
// contribution would bring the count below 0, the adjustment rises instead, so that the
// equation holds at all times.

// State is what is stored of a topic beside its contributions.
type State struct {
	Change
	Seed       int64 // the last seed that was set; never below 0
	Adjustment int64 // what the owner added; may be below 0
}

// Sum returns the sum of contributions.
func (s *State) Sum() int64 { return s.Count - s.Seed - s.Adjustment }

// SetSum sets the count for a sum of contributions. It raises the adjustment if the count
// would be below 0.
func (s *State) SetSum(sum int64) {
	s.Adjustment = max(s.Adjustment, -s.Seed-sum)
	s.Count = s.Seed + s.Adjustment + sum
}

// EditKind is the kind of an [Edit].
type EditKind uint8

const (
	// EditSeed sets the seed. The seed that is already stored changes nothing, so that
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

// Edit is one change by an owner to one topic, which may not be of a presence metric.
// EditSeed, EditAdjustment, EditCount and EditBase create a missing topic, even with
// value 0; the other kinds do nothing to it.
type Edit struct {
	Topic   Topic
	Kind    EditKind
	Value   int64
	Members []Member // at most MaxBatchWrites
	// IfVersion is the version that the topic must have, or 0 for any. If the topic has
	// another version, the edit does nothing and Changed is false.
	IfVersion int64
	// Mark is that of the merge which the edit is a step of, or empty. Err is [ErrFrozen]
	// if the topic does not admit it, see [AdmitsEdits].
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
	if e.Creates() && (e.Value < least || e.Value > MaxValue) {
		return Errorf(CodeBadAmount, "%s is a whole number from %d to %d", editNames[e.Kind], least, int64(MaxValue))
	}
	return nil
}

// editNames names what each kind of edit sets, for messages.
var editNames = map[EditKind]string{
	EditSeed: "a seed", EditAdjustment: "an adjustment", EditCount: "a count", EditBase: "what was counted before",
}

// Creates reports whether the edit creates a topic that does not exist.
func (e *Edit) Creates() bool { return editNames[e.Kind] != "" }

// Preview sets Before, After and Changed to what the edit does to a topic in state before,
// whose version is 0 if the topic does not exist. After keeps the version. It applies no
// condition, and leaves contributions as they are for EditWithdraw.
func (e *Edit) Preview(before State) {
	e.Before, e.After = before, before
	sum := before.Sum()
	switch after := &e.After; e.Kind {
	case EditSeed:
		after.Seed = e.Value
	case EditAdjustment:
		after.Adjustment = e.Value
	case EditCount:
		after.Adjustment = e.Value - after.Seed - sum
	case EditBase:
		after.Adjustment = e.Value - after.Seed
	case EditReset, EditDelete:
		after.Seed, after.Adjustment, sum = 0, 0, 0
	}
	e.After.SetSum(sum)
	exists := before.Version != 0
	e.Changed = e.After != before || !exists && e.Creates() || exists && e.Kind == EditDelete
}
