package redisstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
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
	texts := s.newApplyTexts(batches)
	for i := range batches {
		b := &batches[i]
		if b.Err = s.checkAmounts(b); b.Err == nil {
			b.Err = s.ensureRule(ctx, b.Topic)
		}
		if b.Err == nil {
			calls = append(calls, s.applyCall(b, texts))
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
	// memberWrite and choiceWrite are the bytes of a packed write, see script/part/decide.lua and
	// decide_choices.lua. A write of an amount has fewer, see decide_amounts.lua.
	memberWrite = 1 + 8 + 4 + pathDigits
	choiceWrite = memberWrite + 1
	// journalEntryBytes are the bytes of a journal entry, see script/part/journal.lua.
	journalEntryBytes = 8 + 4 + 4
)

// applyTexts is the memory of the calls of one Apply: one allocation for all of their texts, and
// one for their arguments.
type applyTexts struct {
	bytes strings.Builder
	calls []applyCallTexts
}

// applyCallTexts has what a call points to, since an interface of a text is an allocation.
type applyCallTexts struct {
	writeTexts
	writes    string
	arguments [redistopology.FirstKey + 5 + 7]any // with 5 keys
}

func (s *Store) newApplyTexts(batches []tally.Batch) *applyTexts {
	t, size := &applyTexts{calls: make([]applyCallTexts, 0, len(batches))}, 0
	for i := range batches {
		size += s.names.sizeForWrite(batches[i].Topic) + choiceWrite*len(batches[i].Writes)
	}
	t.bytes.Grow(size)
	return t
}

// applyCall returns the call of a script for a batch, which may be used while its texts are.
func (s *Store) applyCall(b *tally.Batch, all *applyTexts) redistopology.Call {
	rule := s.catalog.Rule(b.Topic)
	all.calls = all.calls[:len(all.calls)+1]
	texts := &all.calls[len(all.calls)-1]
	s.names.setForWrite(&texts.writeTexts, &all.bytes, b.Topic)
	keys := texts.keys[:2]
	if s.options.History > 0 {
		keys = texts.keys[:4]
	}
	script := forRule(rule, applyScript, amountScript, chooseScript)
	var c redistopology.Call
	if s.options.Journal > 0 {
		c = redistopology.NewDayCallIn(texts.arguments[:0], script, texts.journal, 1, keys...)
	} else {
		c = redistopology.NewDayCallIn(texts.arguments[:0], script, "", 0, append(keys, keys[1])...)
	}
	c.Durable = true
	if s.options.History > 0 {
		c.SetOptional(2, 2)
	}
	var buffer [choiceWrite]byte
	begin := all.bytes.Len()
	for i := range b.Writes {
		all.bytes.Write(appendWrite(buffer[:0], rule, &b.Writes[i]))
	}
	texts.writes = all.bytes.String()[begin:]
	if argument := headArgument(rule); argument == 0 {
		c.Append(&s.noWindow)
	} else {
		c.Append(strconv.FormatInt(argument, 10) + s.noWindow[1:])
	}
	c.Append(&texts.channel, &texts.head, &texts.writes)
	if b.Mark != "" {
		c.Append(&b.Mark)
	}
	c.Append(&s.historyRetention)
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
	c.Append(headArgument(rule), &texts.channel, &texts.head)
	return make([]byte, 0, writes*choiceWrite)
}

// headArgument returns the window of a rule, or of a choice the number of options.
func headArgument(rule tally.Rule) int64 {
	if rule.Kind == tally.Choice {
		return optionCount(rule)
	}
	return rule.Window.Milliseconds()
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
