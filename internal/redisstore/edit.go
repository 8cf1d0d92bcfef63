package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Edit implements [tally.Ledger]: one script an edit, those of one topic one after
// the other. What drops contributions unlinks their keys, which takes no time.
func (s *Store) Edit(ctx context.Context, edits []tally.Edit) {
	todo := make([]int, 0, len(edits))
	for i := range edits {
		e := &edits[i]
		e.Before, e.After, e.Changed = tally.State{}, tally.State{}, false
		if e.Err = s.catalog.ValidateEdit(e); e.Err == nil && e.Creates() {
			e.Err = s.ensureRule(ctx, e.Topic)
		}
		if e.Err == nil {
			todo = append(todo, i)
		}
	}
	s.inTurn(todo, func(i int) tally.Topic { return edits[i].Topic }, func(turn []int) {
		calls := make([]redistopology.Call, len(turn))
		for j, i := range turn {
			calls[j] = s.editCall(&edits[i])
			calls[j].Durable = true
		}
		err := s.callAll(ctx, calls)
		for j, i := range turn {
			e := &edits[i]
			ed, failed := s.parseEdit("edit", e.Topic, &calls[j], err)
			if failed == nil && e.Kind == tally.EditWithdraw && len(e.Members) > 0 && ed.before.Version > 0 &&
				(e.IfVersion == 0 || e.IfVersion == ed.before.Version) {
				failed = s.eraseMembers(ctx, e.Topic, e.Members)
			}
			if e.Err = failed; failed == nil {
				e.Before, e.After, e.Changed = ed.before, ed.after, ed.changed
				if e.Kind == tally.EditDelete && (ed.changed || ed.before.Version == 0) {
					e.After = tally.State{Change: tally.Change{Topic: e.Topic}}
					s.ranks.addEnded(ed.published)
				}
			}
		}
	})
}

// inTurn calls work with the indexes of todo, at most writeChunk of them, no two of one
// topic, and those of one topic in their order.
func (s *Store) inTurn(todo []int, topicOf func(int) tally.Topic, work func(turn []int)) {
	for len(todo) > 0 {
		var turn, later []int
		taken := map[tally.Topic]bool{}
		for _, i := range todo {
			if topic := topicOf(i); taken[topic] || len(turn) == writeChunk {
				later = append(later, i)
			} else {
				taken[topic] = true
				turn = append(turn, i)
			}
		}
		work(turn)
		todo = later
	}
}

// editNames names what edit.lua does.
var editNames = map[tally.EditKind]string{
	tally.EditSeed: "seed", tally.EditAdjustment: "adjustment", tally.EditCount: "count",
	tally.EditBase: "base", tally.EditReset: "reset", tally.EditDelete: "delete",
}

func (s *Store) editCall(e *tally.Edit) redistopology.Call {
	if e.Kind == tally.EditWithdraw {
		traces := make([]tally.JournalEntry, len(e.Members))
		for i, member := range e.Members {
			traces[i].Member = member
		}
		return s.withdrawCall(e.Topic, traces, e.IfVersion, nil)
	}
	var c redistopology.Call
	if e.Kind == tally.EditReset || e.Kind == tally.EditDelete {
		c = s.wholeTopicCall(editScript, e.Topic)
	} else {
		c = redistopology.NewCall(editScript, s.names.count(e.Topic))
	}
	c.Append(editNames[e.Kind], s.names.channel(e.Topic), tally.AppendFrameHead(nil, e.Topic), e.Value, e.IfVersion, e.Mark)
	return c
}

// maxJournals is how many keys a topic's journal may have: for each day that it is kept,
// the day more that its first traces are kept, that of tomorrow (see call.day), and the
// one that has begun.
const maxJournals = int(MaxJournal/redistopology.Day) + 3

// wholeTopicCall returns a call on all keys of a topic: count, members, end, and the journals
// of all days that may be there.
func (s *Store) wholeTopicCall(script *redistopology.Script, topic tally.Topic) redistopology.Call {
	return redistopology.NewDayCall(script, s.names.journal(topic), maxJournals,
		s.names.count(topic), s.names.members(topic), s.names.deleted(topic))
}

// withdrawCall takes back what members contributed; where in is not nil, those of traces that
// are in a journal.
func (s *Store) withdrawCall(topic tally.Topic, traces []tally.JournalEntry, version int64, in *revertedJournal) redistopology.Call {
	rule := s.catalog.Rule(topic)
	members := s.names.members(topic)
	keys := []string{s.names.count(topic), members, members}
	if in != nil {
		keys[2] = in.key
		keys = append(keys, in.later...)
	}
	c := redistopology.NewCall(forRule(rule, withdrawScript, withdrawAmountScript), keys...)
	packed := s.appendHead(&c, topic, rule, len(traces))
	var where []byte
	for i := range traces {
		packed = appendWrite(packed, rule, &tally.Write{Member: traces[i].Member, Source: traces[i].Source})
		if in != nil {
			where = appendPlace(where, in.places[i], traces[i].Minute)
		}
	}
	c.Append(packed, version, where)
	if in != nil {
		for _, length := range in.lengths {
			c.Append(length)
		}
	}
	return c
}

// editReply is what the scripts that change a topic for its owner tell.
type editReply struct {
	before, after tally.State
	published     tally.Change // where changed
	changed       bool
}

// parseEdit reads the reply of a call, and gathers the change. err is why none of the
// calls was made.
func (s *Store) parseEdit(what string, topic tally.Topic, c *redistopology.Call, err error) (editReply, error) {
	if err != nil {
		return editReply{}, tally.Unavailable(fmt.Errorf("%s %s: %w", what, topic, err))
	}
	st, err := s.parseWritten(what, topic, c)
	var marked *tally.MarkError
	if errors.As(err, &marked) {
		return editReply{}, tally.ErrFrozen
	}
	if err != nil {
		if c.Node() != nil && redistopology.RefusesWrites(err) {
			stateOf(c.Node()).status.setFailed(explain(err)) // the probe tells when it is over
		}
		return editReply{}, tally.Unavailable(err)
	}
	var n [7]int64
	texts := strings.Split(st.third, ",")
	if len(texts) != len(n) {
		return editReply{}, tally.Unavailable(unexpectedReply(c))
	}
	for i, text := range texts {
		if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return editReply{}, tally.Unavailable(unexpectedReply(c))
		}
	}
	now := tally.Change{Topic: topic, Count: st.count, Version: st.version}
	e := editReply{
		changed: n[0] == 1,
		before:  tally.State{Change: tally.Change{Topic: topic, Count: n[1], Version: n[2]}, Seed: n[3], Adjustment: n[4]},
		after:   tally.State{Change: now, Seed: n[5], Adjustment: n[6]},
	}
	if e.changed {
		e.published = now
		s.ranks.add(&s.stats, now)
	}
	return e, nil
}
