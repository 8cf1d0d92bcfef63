package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Edit implements [tally.Ledger]: it calls one script an edit, for one topic in order.
func (s *Store) Edit(ctx context.Context, edits []tally.Edit) {
	defer s.limitRanks()
	valid := make([]*tally.Edit, 0, len(edits))
	for i := range edits {
		e := &edits[i]
		e.Before, e.After, e.Changed = tally.State{}, tally.State{}, false
		if e.Err = s.catalog.ValidateEdit(e); e.Err == nil && e.Creates() {
			e.Err = s.ensureRule(ctx, e.Topic)
		}
		if e.Err == nil {
			valid = append(valid, e)
		}
	}
	inTurns(valid, func(e *tally.Edit) tally.Topic { return e.Topic }, func(turn []*tally.Edit) {
		calls := make([]redistopology.Call, len(turn))
		for i, e := range turn {
			calls[i] = s.editCall(e)
			calls[i].Durable = true
		}
		err := s.callAll(ctx, calls)
		for i, e := range turn {
			reply, failed := s.parseEdit("edit", e.Topic, &calls[i], err)
			if failed == nil && e.Kind == tally.EditWithdraw && len(e.Members) > 0 && reply.before.Version > 0 &&
				(e.IfVersion == 0 || e.IfVersion == reply.before.Version) {
				failed = s.eraseMembers(ctx, e.Topic, e.Members)
			}
			if e.Err = failed; failed == nil {
				e.Before, e.After, e.Changed = reply.before, reply.after, reply.changed
				if e.Kind == tally.EditDelete && (reply.changed || reply.before.Version == 0) {
					e.After = s.catalog.Rule(e.Topic).EmptyState(e.Topic)
					s.changed(reply.after.Change, true)
				}
			}
		}
	})
}

// inTurns calls work with at most writeChunk items, no two of one topic, until it had all.
// Items of one topic keep their order.
func inTurns[T any](items []T, topicOf func(T) tally.Topic, work func(turn []T)) {
	for len(items) > 0 {
		var turn, later []T
		taken := map[tally.Topic]bool{}
		for _, item := range items {
			if topic := topicOf(item); taken[topic] || len(turn) == writeChunk {
				later = append(later, item)
			} else {
				taken[topic] = true
				turn = append(turn, item)
			}
		}
		work(turn)
		items = later
	}
}

// editNames are the kinds of edit.lua.
var editNames = map[tally.EditKind]string{
	tally.EditSeed: "seed", tally.EditAdjustment: "adjustment", tally.EditCount: "count",
	tally.EditBase: "base", tally.EditReset: "reset", tally.EditDelete: "delete",
}

func (s *Store) editCall(e *tally.Edit) redistopology.Call {
	if e.Kind == tally.EditWithdraw {
		return s.withdrawCall(e)
	}
	var c redistopology.Call
	if e.Kind == tally.EditReset || e.Kind == tally.EditDelete {
		c = s.wholeTopicCall(editScript, e.Topic)
	} else {
		c = redistopology.NewCall(editScript, s.names.count(e.Topic), s.names.hours(e.Topic), s.names.days(e.Topic))
		c.SetOptional(1, 2)
	}
	value := any(e.Value)
	if e.Options != "" {
		value = string(e.Options)
	}
	c.Append(editNames[e.Kind], s.names.channel(e.Topic), tally.AppendFrameHead(nil, e.Topic), value, e.IfVersion, e.Mark, optionCount(s.catalog.Rule(e.Topic)), s.historyRetention)
	return c
}

// maxJournals is how many journals of days a topic may have: those of the retention, one
// more day for a day's first entries, today's, and tomorrow's (see
// [redistopology.NewDayCall]).
const maxJournals = int(MaxJournal/redistopology.Day) + 3

// wholeTopicCall returns a call with all keys of a topic: count, members, the version at
// which it was deleted, its history, and all journals.
func (s *Store) wholeTopicCall(script *redistopology.Script, topic tally.Topic) redistopology.Call {
	return redistopology.NewDayCall(script, s.names.journal(topic), maxJournals,
		s.names.count(topic), s.names.members(topic), s.names.deleted(topic), s.names.hours(topic), s.names.days(topic))
}

// withdrawCall returns a call that withdraws the contributions of members.
func (s *Store) withdrawCall(e *tally.Edit) redistopology.Call {
	rule, texts := s.catalog.Rule(e.Topic), s.names.forWrite(e.Topic)
	c := s.newWithdrawCall(rule, texts.keys[:withdrawKeys], withdrawKeys, e.IfVersion, false, false)
	packed := make([]byte, 0, len(e.Members)*choiceWrite)
	for _, member := range e.Members {
		packed = appendWrite(packed, rule, &tally.Write{Member: member})
	}
	c.Append(packed, "", &texts.channel, &texts.head)
	return c
}

// withdrawKeys is how many keys of a topic come before its journals, see script/withdraw.lua.
const withdrawKeys = 4

// newWithdrawCall returns a call of a script that withdraws contributions to topics with one rule. Each
// topic has keysOfTopic of the keys. The caller appends the arguments of each topic; see
// script/withdraw.lua.
func (s *Store) newWithdrawCall(rule tally.Rule, keys []string, keysOfTopic int, version int64, lowers, isRead bool) redistopology.Call {
	const others = 7 // arguments; a topic has as many as keys
	args := make([]any, 0, redistopology.FirstKey+others+2*len(keys))
	c := redistopology.NewDayCallIn(args, forRule(rule, withdrawScript, withdrawAmountScript, withdrawChoiceScript), "", 0, keys...)
	c.Append(keysOfTopic, headArgument(rule), version, &s.historyRetention, lowers, isRead)
	return c
}

// editReply is the reply of scripts that edit or restore.
type editReply struct {
	before, after tally.State
	changed       bool
}

// parseEdit parses the reply of a call, and updates the leaderboards later. err is why no
// call was made.
func (s *Store) parseEdit(what string, topic tally.Topic, c *redistopology.Call, err error) (editReply, error) {
	change, parts, err := s.parseParts(what, topic, c, err)
	if err != nil {
		return editReply{}, err
	}
	if len(parts) != 7 {
		return editReply{}, tally.Unavailable(unexpectedReply(c))
	}
	rule := s.catalog.Rule(topic)
	e := editReply{changed: parts[0] == "1"}
	var err1, err2 error
	e.before, err1 = parseState(rule, topic, parts[1], parts[2], parts[3], parts[4])
	e.after, err2 = parseState(rule, topic, "0", "0", parts[5], parts[6])
	if err1 != nil || err2 != nil {
		return editReply{}, tally.Unavailable(unexpectedReply(c))
	}
	e.after.Change = change
	return e, nil
}

// parseParts parses the reply of a call of which the first part is 1 if the topic changed, and
// updates the leaderboards later. err is why no call was made.
func (s *Store) parseParts(what string, topic tally.Topic, c *redistopology.Call, err error) (tally.Change, []string, error) {
	if err != nil {
		return tally.Change{}, nil, tally.Unavailable(fmt.Errorf("%s %s: %w", what, topic, err))
	}
	reply, err := s.parseWritten(what, topic, c)
	if errors.As(err, new(*tally.MarkError)) {
		return tally.Change{}, nil, tally.ErrFrozen
	}
	if err != nil {
		s.reviewFailure(c.Node(), err)
		return tally.Change{}, nil, tally.Unavailable(err)
	}
	parts := strings.Split(reply.detail, ";")
	if parts[0] == "1" {
		s.changed(reply.change, false)
	}
	return reply.change, parts, nil
}
