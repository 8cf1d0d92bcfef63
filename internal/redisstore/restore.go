package redisstore

import (
	"cmp"
	"context"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxPartContributions is how many contributions one script call stores, which takes
	// Redis a millisecond or two.
	maxPartContributions = tally.MaxBatchWrites
	// restoreBytes is the approximate size of a pipeline.
	restoreBytes = 1 << 20
)

// portionPart is a part of a portion that one script call stores.
type portionPart struct {
	tally.Portion
	mode string // of restore.lua
}

// Restore implements [tally.Ledger]. It stores a portion in parts, each of which may be repeated. It
// leaves out the contributions of a window that ended, which are part of the portion's Sum.
func (s *Store) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	defer s.limitRanks()
	var parts []*portionPart
	for i := range portions {
		if err := s.catalog.ValidatePortion(&portions[i]); err != nil {
			return err
		}
		if err := s.ensureRule(ctx, portions[i].Topic); err != nil {
			return err
		}
		parts = append(parts, splitPortion(portions[i], replace)...)
	}
	var failed error
	inTurns(parts, func(p *portionPart) tally.Topic { return p.Topic }, func(turn []*portionPart) {
		for len(turn) > 0 && failed == nil {
			var calls []redistopology.Call
			for bytes := 0; len(calls) < len(turn) && bytes < restoreBytes; {
				p := turn[len(calls)]
				calls = append(calls, s.restoreCall(p))
				bytes += len(p.Contributions)*memberWrite + 4096 // the names of the journals, among others
			}
			err := s.callAll(ctx, calls)
			for i := range calls {
				_, e := s.parseEdit("restore", turn[i].Topic, &calls[i], err)
				failed = cmp.Or(failed, e)
				if turn[i].Past != nil && s.options.History > 0 { // the gain may change even if the count does not
					s.gains.add(tally.Change{Topic: turn[i].Topic, Version: 1}, false)
				}
			}
			turn = turn[len(calls):]
		}
	})
	return failed
}

// splitPortion splits a portion into at least one part.
func splitPortion(p tally.Portion, replace bool) (parts []*portionPart) {
	rest := p.Contributions
	for first := true; first || len(rest) > 0; first = false {
		n := min(len(rest), maxPartContributions)
		next := &portionPart{Portion: p, mode: "merge"}
		switch {
		case replace && p.First && first:
			next.mode = "first"
		case p.NextMark != "":
			next.mode = "final"
		}
		next.Contributions, rest = rest[:n], rest[n:]
		next.Last = p.Last && len(rest) == 0
		parts = append(parts, next)
	}
	return parts
}

func (s *Store) restoreCall(p *portionPart) redistopology.Call {
	rule := s.catalog.Rule(p.Topic)
	script := forRule(rule, restoreScript, restoreAmountScript, restoreChoiceScript)
	var c redistopology.Call
	if p.mode == "first" {
		c = s.wholeTopicCall(script, p.Topic)
	} else {
		c = redistopology.NewCall(script, s.names.count(p.Topic), s.names.members(p.Topic), s.names.deleted(p.Topic),
			s.names.hours(p.Topic), s.names.days(p.Topic))
	}
	c.Durable = true
	packed := appendHead(&c, s.names.forWrite(p.Topic), rule, len(p.Contributions))
	for _, contribution := range p.Contributions {
		packed = appendWrite(packed, rule, &tally.Write{Member: contribution.Member, Amount: contribution.Amount, MayCreate: true})
	}
	c.Append(packed, p.mode, p.Version)
	if rule.Kind == tally.Choice {
		c.Append(string(rule.Pad(p.SeedOptions)), string(rule.Pad(p.AdjustmentOptions)))
	} else {
		c.Append(p.Seed, p.Adjustment)
	}
	if p.Last {
		c.Append(p.Sum)
	} else {
		c.Append("")
	}
	c.Append(p.Mark, s.historyRetention)
	if p.Last && p.Past != nil {
		c.Append(p.Past.Gain, p.Past.IsComplete, formatRecords(p.Past.Hours), formatRecords(p.Past.Days))
	}
	if p.mode == "final" {
		c.Append(p.NextMark)
	}
	return c
}
