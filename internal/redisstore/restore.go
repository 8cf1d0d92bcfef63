package redisstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// restorePiece is how many contributions one script stores, which takes Redis a
// millisecond or two, and restoreBytes about how much one pipeline carries.
const (
	maxPartContributions = tally.MaxBatchWrites
	restoreBytes         = 1 << 20
)

// portionPart is a part of a portion that one script stores.
type portionPart struct {
	tally.Portion
	mode string // of restore.lua
}

// Restore implements [tally.Ledger]: a portion in pieces, each of which may be stored
// again. Contributions of a window that ended are left out; Counted has them.
func (s *Store) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	var pieces []portionPart
	for i := range portions {
		if err := s.catalog.ValidatePortion(&portions[i]); err != nil {
			return err
		}
		if err := s.ensureRule(ctx, portions[i].Topic); err != nil {
			return err
		}
		pieces = append(pieces, splitPortion(portions[i], replace)...)
	}
	var failed error
	todo := make([]int, len(pieces))
	for i := range todo {
		todo[i] = i
	}
	s.inTurn(todo, func(i int) tally.Topic { return pieces[i].Topic }, func(turn []int) {
		for len(turn) > 0 && failed == nil {
			var calls []redistopology.Call
			for bytes := 0; len(calls) < len(turn) && bytes < restoreBytes; {
				p := &pieces[turn[len(calls)]]
				calls = append(calls, s.restoreCall(p))
				bytes += len(p.Contributions)*memberWrite + 4096 // the names of the journals, among others
			}
			err := s.callAll(ctx, calls)
			for j := range calls {
				_, e := s.parseEdit("restore", pieces[turn[j]].Topic, &calls[j], err)
				failed = cmp.Or(failed, e)
			}
			turn = turn[len(calls):]
		}
	})
	return failed
}

// splitPortion cuts a portion into pieces, at least one.
func splitPortion(p tally.Portion, replace bool) (pieces []portionPart) {
	rest := p.Contributions
	for first := true; first || len(rest) > 0; first = false {
		n := min(len(rest), maxPartContributions)
		next := portionPart{Portion: p, mode: "merge"}
		if replace && p.First && first {
			next.mode = "first"
		}
		next.Contributions, rest = rest[:n], rest[n:]
		next.Last = p.Last && len(rest) == 0
		pieces = append(pieces, next)
	}
	return slices.Clip(pieces)
}

func (s *Store) restoreCall(p *portionPart) redistopology.Call {
	rule := s.catalog.Rule(p.Topic)
	script := forRule(rule, restoreScript, restoreAmountScript)
	var c redistopology.Call
	if p.mode == "first" {
		c = s.wholeTopicCall(script, p.Topic)
	} else {
		c = redistopology.NewCall(script, s.names.count(p.Topic), s.names.members(p.Topic), s.names.deleted(p.Topic))
	}
	c.Durable = true
	packed := s.appendHead(&c, p.Topic, rule, len(p.Contributions))
	for _, given := range p.Contributions {
		packed = appendWrite(packed, rule, &tally.Write{Member: given.Member, Amount: given.Amount, MayCreate: true})
	}
	c.Append(packed, p.mode, p.Version, p.Seed, p.Adjustment)
	if p.Last {
		c.Append(p.Sum)
	} else {
		c.Append("")
	}
	c.Append(p.Mark)
	return c
}
