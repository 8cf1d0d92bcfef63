package tally

// Contribution is what one member adds to a topic, or the option that the member chose;
// Amount is above 0.
type Contribution struct {
	Member Member
	Amount int64
}

// Portion is a topic's state and at most [MaxPortion] of its contributions. A large topic
// has several portions, which follow each other; First and Last mark the outer ones.
type Portion struct {
	State
	// Sum is the sum of all contributions, including those that a window metric no longer
	// stores: Count - Seed - Adjustment. It is valid in the last portion only. For a choice
	// metric Restore ignores Sum and Options, and computes them from the contributions.
	Sum           int64
	Contributions []Contribution
	Past          *Past // of the last portion; nil if there is none
	First, Last   bool
	Mark          string // of the merge that stores the portion, as in [Edit]
	// NextMark is empty except in the last step of a merge. That step atomically sets the
	// topic's adjustment and past to the portion's, and its mark to NextMark.
	NextMark string
}

// MaxPortion is the most contributions that one [Portion] carries, and the most entries of
// a list or log that one call returns.
const MaxPortion = 1000

// maxVersion leaves versions room to grow among the integers that a JSON number holds
// exactly.
const maxVersion = 2 * MaxValue

// Validate reports whether a topic with rule can store p.
// Errors: [CodeReadOnlyMetric], [CodeBadAmount], [CodeBadBody].
func (p *Portion) Validate(rule Rule) error {
	if err := rule.CheckEditable(p.Topic.Metric()); err != nil {
		return err
	}
	inRange := func(n, least int64) bool { return n >= least && n <= MaxValue }
	switch {
	case len(p.Contributions) > MaxPortion:
		return Errorf(CodeBadBody, "a portion has at most %d contributions", MaxPortion)
	case !inRange(p.Seed, 0), !inRange(p.Adjustment, -MaxValue), !inRange(p.Sum, 0):
		return Errorf(CodeBadAmount, "seed and sum are whole numbers from 0 to %d, the adjustment is one from %d to %[1]d", int64(MaxValue), int64(-MaxValue))
	case p.Version < 0 || p.Version > maxVersion:
		return Errorf(CodeBadAmount, "a version is a whole number from 0 to %d; this one is %d", int64(maxVersion), p.Version)
	}
	for _, list := range []struct {
		name    string
		options Options
		total   int64
		least   int64
	}{{"seed", p.SeedOptions, p.Seed, 0}, {"adjustment", p.AdjustmentOptions, p.Adjustment, -MaxValue}} {
		if err := rule.checkList(p.Topic.Metric(), list.name, list.options, list.total, list.least); err != nil {
			return err
		}
	}
	if err := p.Past.validate(); err != nil {
		return err
	}
	for _, c := range p.Contributions {
		if c.Member == 0 || c.Amount < 1 || c.Amount > rule.Max {
			return Errorf(CodeBadAmount, "a member contributes at most %d to this metric; this one contributes %d", rule.Max, c.Amount)
		}
	}
	return nil
}

// checkList returns an error if a topic of metric, whose rule is r, cannot have list with this
// total. The list may be shorter than the options. Errors: [CodeBadAmount].
func (r Rule) checkList(metric, name string, list Options, total, least int64) error {
	switch {
	case r.Kind != Choice && list != "":
		return Errorf(CodeBadAmount, "%s has no options, but the %s is a list", metric, name)
	case r.Kind == Choice && int64(list.Len()) > r.Max:
		return Errorf(CodeBadAmount, "%s has %d options, but the %s is a list of %d", metric, r.Max, name, list.Len())
	case r.Kind == Choice && list.Sum() != total:
		return Errorf(CodeBadAmount, "the %s of %s, which has %d options, is %d, but those of its options are %s", name, metric, r.Max, total, list)
	}
	for _, n := range list.Numbers() {
		if n < least || n > MaxValue {
			return Errorf(CodeBadAmount, "the %s of an option is a whole number from %d to %d", name, least, int64(MaxValue))
		}
	}
	return nil
}
