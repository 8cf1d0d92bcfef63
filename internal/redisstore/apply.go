package redisstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/tallycast/tallycast/internal/tally"
)

// Apply implements [tally.Store]: one script a topic, all in one pipeline. Where
// replicas are waited for, what they did not confirm in time is an error.
func (s *Store) Apply(ctx context.Context, batches []tally.Batch) {
	if err := s.usable(); err != nil {
		for i := range batches {
			batches[i].Err = err
		}
		return
	}
	calls := make([]call, 0, len(batches))
	whose := make([]*tally.Batch, 0, len(batches))
	for i := range batches {
		b := &batches[i]
		b.Err = s.allowed(b)
		if b.Err == nil {
			c := s.applyCall(b)
			c.durable = true
			calls = append(calls, c)
			whose = append(whose, b)
		}
	}
	if len(calls) == 0 {
		return
	}
	s.run(ctx, calls)
	for i := range calls {
		s.finish(whose[i], &calls[i])
	}
}

// allowed refuses what the topic's rule does not allow; nobody should ask for it.
func (s *Store) allowed(b *tally.Batch) error {
	rule := s.catalog.Rule(b.Topic)
	for i := range b.Writes {
		if err := rule.Check(b.Writes[i].Amount); err != nil {
			return err
		}
	}
	return nil
}

const (
	// pathDigits is how deep the trie of members can be, in hex digits: 16 million
	// buckets, of 128 members each before they grow.
	pathDigits = 6
	// Bytes of a packed write, see apply.lua and amount.lua.
	memberWrite = 1 + 8 + pathDigits
	amountWrite = 1 + 8 + 3
)

func (s *Store) applyCall(b *tally.Batch) call {
	rule := s.catalog.Rule(b.Topic)
	channel := s.names.channel(b.Topic)
	head := tally.AppendFrameHead(make([]byte, 0, 64+len(channel)), b.Topic)
	count, members := s.names.count(b.Topic), s.names.members(b.Topic)
	if rule.Kind == tally.Amount {
		c := newCall(amountScript, true, count, members)
		c.args = append(c.args, channel, head, packAmounts(b.Writes))
		return c
	}
	c := newCall(applyScript, true, count, members)
	window := strconv.FormatInt(rule.Window.Milliseconds(), 10)
	c.args = append(c.args, window, channel, head, packMembers(b.Writes))
	return c
}

func packMembers(writes []tally.Write) []byte {
	packed := make([]byte, 0, len(writes)*memberWrite)
	for i := range writes {
		op := byte('0')
		if writes[i].Amount != 0 {
			op++
		}
		if writes[i].MayCreate {
			op += 2
		}
		packed = append(packed, op)
		packed = binary.BigEndian.AppendUint64(packed, uint64(writes[i].Member))
		packed = hex.AppendEncode(packed, packed[len(packed)-8:len(packed)-8+pathDigits/2])
	}
	return packed
}

func packAmounts(writes []tally.Write) []byte {
	packed := make([]byte, 0, len(writes)*amountWrite)
	for i := range writes {
		op := byte('0')
		if writes[i].MayCreate {
			op += 2
		}
		amount := writes[i].Amount
		packed = append(packed, op)
		packed = binary.BigEndian.AppendUint64(packed, uint64(writes[i].Member))
		packed = append(packed, byte(amount>>16), byte(amount>>8), byte(amount))
	}
	return packed
}

// finish fills in the results of a batch.
func (s *Store) finish(b *tally.Batch, c *call) {
	st, err := c.state()
	if err != nil {
		if refusesWrites(err) {
			c.way.to.status.bad(explain(err)) // the probe tells when it is over
		}
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %w", b.Topic, err))
		return
	}
	results := st.third
	if len(results) != len(b.Writes) {
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %d results for %d writes", b.Topic, len(results), len(b.Writes)))
		return
	}
	changed := false
	for i := range b.Writes {
		w := &b.Writes[i]
		w.Changed = results[i] == '1' || results[i] == '2'
		w.Created = results[i] == '2'
		w.WouldCreate = results[i] == '3'
		changed = changed || w.Changed
	}
	b.Count, b.Version = st.count, st.version
	if changed {
		s.top.note(&s.stats, tally.Change{Topic: b.Topic, Count: st.count, Version: st.version})
	}
	if st.unpublished != nil {
		c.way.to.notPublished(st.unpublished)
		b.Err = tally.Unavailable(fmt.Errorf("apply to %s: %w", b.Topic, st.unpublished))
	}
}

// notPublished counts, and shows in Health; the next probe has the rights checked.
func (n *node) notPublished(err error) {
	n.store.stats.publicationsFailed.Add(1)
	n.status.bad(err)
}
