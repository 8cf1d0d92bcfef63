package redisstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// Apply implements [tally.Store]: it calls one script a topic, all in one pipeline. With
// wait=N in the URL, a write that too few replicas confirmed in time is an error.
func (s *Store) Apply(ctx context.Context, batches []tally.Batch) {
	if err := s.checkUsable(); err != nil {
		for i := range batches {
			batches[i].Err = err
		}
		return
	}
	calls := make([]redistopology.Call, 0, len(batches))
	called := make([]*tally.Batch, 0, len(batches))
	for i := range batches {
		b := &batches[i]
		if b.Err = s.checkAmounts(b); b.Err == nil {
			b.Err = s.ensureRule(ctx, b.Topic)
		}
		if b.Err == nil {
			c := s.applyCall(b)
			c.Durable = true
			calls = append(calls, c)
			called = append(called, b)
		}
	}
	if len(calls) == 0 {
		return
	}
	s.topology.Call(ctx, calls)
	for i := range calls {
		s.finishBatch(called[i], &calls[i])
	}
}

// checkAmounts refuses amounts that the topic's rule does not allow, as callers should.
func (s *Store) checkAmounts(b *tally.Batch) error {
	rule := s.catalog.Rule(b.Topic)
	for i := range b.Writes {
		if err := rule.Validate(b.Writes[i].Amount); err != nil {
			return err
		}
	}
	return nil
}

const (
	// pathDigits is the greatest depth of the trie of members, in hex digits: 16 million
	// buckets, of 128 members each before they become larger.
	pathDigits = 6
	// memberWrite, amountWrite and choiceWrite are the bytes of a packed write, see
	// script/part/decide.lua, decide_amounts.lua and decide_choices.lua.
	memberWrite = 1 + 8 + 4 + pathDigits
	amountWrite = 1 + 8 + 4 + 3
	choiceWrite = memberWrite + 1
	// journalEntryBytes are the bytes of a journal entry, see script/part/journal.lua.
	journalEntryBytes = 8 + 4 + 4
)

func (s *Store) applyCall(b *tally.Batch) redistopology.Call {
	rule, texts := s.catalog.Rule(b.Topic), s.names.forWrite(b.Topic)
	keys := texts.keys[:2]
	if s.options.History > 0 {
		keys = texts.keys[:4]
	}
	script := forRule(rule, applyScript, amountScript, chooseScript)
	var c redistopology.Call
	if s.options.Journal > 0 {
		c = redistopology.NewDayCall(script, texts.journal, 1, keys...)
	} else {
		c = redistopology.NewCall(script, append(keys, keys[1])...)
	}
	if s.options.History > 0 {
		c.SetOptional(2, 2)
	}
	packed := appendHead(&c, texts, rule, len(b.Writes))
	for i := range b.Writes {
		packed = appendWrite(packed, rule, &b.Writes[i])
	}
	c.Append(packed, &s.journalRetention, b.Mark, &s.historyRetention)
	return c
}

// forRule returns the script for members that contribute 0 or 1, for amounts, or for
// choices.
func forRule(rule tally.Rule, members, amounts, choices *redistopology.Script) *redistopology.Script {
	switch rule.Kind {
	case tally.Amount:
		return amounts
	case tally.Choice:
		return choices
	}
	return members
}

// optionCount returns the number of options of a rule as scripts take it: 1 unless it is a
// choice.
func optionCount(rule tally.Rule) int64 {
	if rule.Kind == tally.Choice {
		return rule.Max
	}
	return 1
}

// appendHead appends to c the arguments that precede the packed writes: window or number of
// options, channel and head of the topic's frames. It returns room for the packed writes.
func appendHead(c *redistopology.Call, texts *writeTexts, rule tally.Rule, writes int) (packed []byte) {
	argument, size := rule.Window.Milliseconds(), memberWrite
	switch rule.Kind {
	case tally.Amount:
		size = amountWrite
	case tally.Choice:
		argument, size = optionCount(rule), choiceWrite
	}
	c.Append(argument, &texts.channel, &texts.head)
	return make([]byte, 0, writes*size)
}

// appendWrite appends a packed write.
func appendWrite(packed []byte, rule tally.Rule, w *tally.Write) []byte {
	op := byte('0')
	if w.MayCreate {
		op += 2
	}
	if w.RefuseNew {
		op += 4
	}
	if rule.Kind != tally.Amount && rule.Kind != tally.Choice && w.Amount != 0 {
		op++
	}
	packed = append(packed, op)
	packed = binary.BigEndian.AppendUint64(packed, uint64(w.Member))
	member := packed[len(packed)-8:]
	packed = binary.BigEndian.AppendUint32(packed, uint32(w.Source))
	switch rule.Kind {
	case tally.Amount:
		return append(packed, byte(w.Amount>>16), byte(w.Amount>>8), byte(w.Amount))
	case tally.Choice:
		packed = append(packed, byte(w.Amount))
	}
	return hex.AppendEncode(packed, member[:pathDigits/2])
}

// reviewFailure draws conclusions about a node, nil if none was reached, from an error of a
// write.
func (s *Store) reviewFailure(on *redistopology.Node, err error) {
	if on == nil {
		return
	}
	n := nodeOf(on)
	switch {
	case lacksRight(err):
		notify(n.checkRequested)
		return
	case redistopology.RefusesWrites(err):
		n.status.setFailed(explain(err)) // a probe notices when it is over
	}
	notify(n.pace.soon) // the next probe may be a minute away
}

// finishBatch fills in the results of a batch.
func (s *Store) finishBatch(b *tally.Batch, c *redistopology.Call) {
	reply, err := s.parseReply(b.Topic, c)
	if err != nil {
		var marked *tally.MarkError
		if errors.As(err, &marked) {
			b.Err = marked
			return
		}
		s.reviewFailure(c.Node(), err)
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %w", b.Topic, err))
		return
	}
	results, skipped := strings.CutSuffix(reply.detail, "j")
	if skipped {
		s.stats.journalSkipped.Add(1)
	}
	if len(results) != len(b.Writes) {
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %d results for %d writes", b.Topic, len(results), len(b.Writes)))
		return
	}
	changed := false
	for i := range b.Writes {
		w := &b.Writes[i]
		w.Created = results[i] == '2'
		w.Added = w.Created || results[i] == '1'
		w.Changed = w.Added || results[i] == '5'
		w.WouldCreate = results[i] == '3'
		w.WouldAdd = results[i] == '4'
		changed = changed || w.Changed
	}
	b.SetState(reply.change)
	if changed {
		s.changed(reply.change, false)
		s.repairs.addChange(s.options.Intervals.RepairAgain)
		nodeOf(c.Node()).pace.addChange()
	}
	if reply.unpublished != nil {
		nodeOf(c.Node()).publicationFailed()
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %w", b.Topic, reply.unpublished))
	}
}

// publicationFailed counts a failed publication, and has the node checked, which reports
// the missing right.
func (n *node) publicationFailed() {
	n.store.stats.publicationsFailed.Add(1)
	notify(n.checkRequested)
}
