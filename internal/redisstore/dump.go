package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// dumpTopics is the number of topics whose first parts one pipeline reads.
	dumpTopics = 64
	// partBytes is how many bytes of members one script call reads, and partMembers how many
	// amounts: one or two tenths of a millisecond of Redis. Smaller topics are read
	// atomically.
	partBytes   = 64 << 10
	partMembers = 1000
	// maxSeenMembers is how many members with amounts are remembered, some 5 MB, so that none is
	// dumped twice. A larger topic is read several times, and each time a part of its members is
	// dumped.
	maxSeenMembers = 256 << 10
	// endPath is the path after the last one, see dump.lua.
	endPath = 1 << (4 * pathDigits)
)

// Dump implements [tally.Ledger]. It scans the keys of all primaries, and leaves out topics of
// undeclared sites and metrics, whose rules are not known. Of more than a million topics some may be
// dumped twice, see maxSeenKeys.
func (s *Store) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return s.Topics(ctx, scope, func(topics []tally.Topic) error {
		for chunk := range slices.Chunk(topics, dumpTopics) {
			calls := make([]redistopology.Call, len(chunk))
			for i, topic := range chunk {
				calls[i] = s.dumpCall(topic, 0)
			}
			if err := s.callAll(ctx, calls); err != nil {
				return err
			}
			pasts, priors, err := s.readPasts(ctx, chunk)
			if err != nil {
				return err
			}
			for i, topic := range chunk {
				if err := s.dumpTopic(ctx, topic, &calls[i], pasts[i], priors[i], each); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// dumpCall returns a call that reads a topic's state, and its members from a path on, or for
// amounts from a cursor on.
func (s *Store) dumpCall(topic tally.Topic, from uint64) redistopology.Call {
	script, size := dumpScript, partBytes
	if s.catalog.Rule(topic).Kind == tally.Amount {
		script, size = dumpAmountScript, partMembers
	}
	c := redistopology.NewCall(script, s.names.count(topic), s.names.members(topic))
	c.Append(from, size)
	return c
}

// dumpPart is the reply of dump.lua and dumpamount.lua.
type dumpPart struct {
	state   tally.State
	next    uint64   // where the next part begins; 0 after the last
	total   int64    // for amounts, the number of members
	members []string // buckets; or members and amounts alternately
}

func parseDumpPart(c *redistopology.Call, rule tally.Rule, topic tally.Topic) (part dumpPart, err error) {
	list, _ := c.Reply.([]any)
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i], _ = item.(string)
	}
	const numbers = 6
	if err = c.Err; err == nil && len(texts) < numbers {
		err = unexpectedReply(c)
	}
	if err == nil {
		var err1, err2, err3 error
		part.state, err1 = parseState(rule, topic, texts[0], texts[1], texts[2], texts[3])
		part.next, err2 = strconv.ParseUint(texts[4], 10, 64)
		part.total, err3 = strconv.ParseInt(texts[5], 10, 64)
		err = cmp.Or(err1, err2, err3)
	}
	if err != nil {
		return dumpPart{}, tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))
	}
	part.members = texts[numbers:]
	if part.next == endPath {
		part.next = 0
	}
	return part, nil
}

// dumpTopic dumps a topic. The call first has read its first part.
func (s *Store) dumpTopic(ctx context.Context, topic tally.Topic, first *redistopology.Call, past *tally.Past, prior int64, each func(tally.Portion) error) error {
	rule := s.catalog.Rule(topic)
	part, err := parseDumpPart(first, rule, topic)
	if err != nil || part.state.Version == 0 { // it was deleted
		return err
	}
	p := &portioner{rule: rule, each: each, first: true, state: part.state, past: past, prior: prior}
	dump := s.dumpMembers
	if rule.Kind == tally.Amount {
		dump = s.dumpAmounts
	}
	if err := dump(ctx, p, part); err != nil {
		return err
	}
	return p.finish()
}

// readNext reads the next part of a topic.
func (s *Store) readNext(ctx context.Context, p *portioner, from uint64) (dumpPart, error) {
	topic := p.state.Topic
	c := s.call(ctx, s.dumpCall(topic, from))
	part, err := parseDumpPart(&c, p.rule, topic)
	if part.state.Version > 0 { // else it was deleted
		p.state = part.state
	}
	return part, err
}

// parts returns the parts of a topic in order.
func (s *Store) parts(ctx context.Context, p *portioner, first dumpPart) iter.Seq2[dumpPart, error] {
	return func(yield func(dumpPart, error) bool) {
		part, err := first, error(nil)
		for yield(part, err) && err == nil && part.next > 0 {
			part, err = s.readNext(ctx, p, part.next)
		}
	}
}

func (s *Store) dumpMembers(ctx context.Context, p *portioner, first dumpPart) error {
	size, from := recordBytes(p.rule), uint64(0)
	for part, err := range s.parts(ctx, p, first) {
		if err != nil {
			return err
		}
		var found []tally.Contribution
		for _, bucket := range part.members {
			for ; len(bucket) >= size; bucket = bucket[size:] {
				member := binary.BigEndian.Uint64([]byte(bucket[:memberBytes]))
				if member>>(64-4*pathDigits) >= from {
					found = append(found, tally.Contribution{Member: tally.Member(member), Amount: recordAmount(bucket[:size])})
				}
			}
		}
		if err := p.add(found); err != nil {
			return err
		}
		from = part.next
	}
	return nil
}

func (s *Store) dumpAmounts(ctx context.Context, p *portioner, first dumpPart) (err error) {
	passes := uint64(first.total)/maxSeenMembers + 1
	for pass := range passes {
		seen := map[uint64]bool{}
		if pass > 0 {
			if first, err = s.readNext(ctx, p, 0); err != nil {
				return err
			}
		}
		for part, err := range s.parts(ctx, p, first) {
			if err != nil {
				return err
			}
			var found []tally.Contribution
			for pair := range slices.Chunk(part.members, 2) {
				amount, err := strconv.ParseInt(pair[len(pair)-1], 10, 64)
				if len(pair[0]) != memberBytes || err != nil {
					return tally.Unavailable(fmt.Errorf("read %s: %w", p.state.Topic, errNotNumber))
				}
				member := binary.BigEndian.Uint64([]byte(pair[0]))
				if member%passes == pass && !seen[member] {
					seen[member] = true
					found = append(found, tally.Contribution{Member: tally.Member(member), Amount: amount})
				}
			}
			if err := p.add(found); err != nil {
				return err
			}
		}
	}
	return nil
}

// portioner divides a topic into portions.
type portioner struct {
	rule  tally.Rule
	each  func(tally.Portion) error
	state tally.State // read last
	past  *tally.Past // without the state; may be nil
	prior int64       // contributions, see [tally.History]

	first   bool
	pending []tally.Contribution
	sums    [tally.MaxOptions]int64 // of the contributions that were emitted, see [tally.State.Sums]
}

// add adds contributions, and emits full portions. At least one contribution stays for the last one.
func (p *portioner) add(contributions []tally.Contribution) error {
	p.pending = append(p.pending, contributions...)
	for len(p.pending) > tally.MaxPortion {
		portion := slices.Clone(p.pending[:tally.MaxPortion])
		p.pending = p.pending[tally.MaxPortion:]
		if err := p.emit(portion, false); err != nil {
			return err
		}
	}
	return nil
}

func (p *portioner) emit(contributions []tally.Contribution, last bool) error {
	for _, c := range contributions {
		p.rule.Add(p.sums[:], c.Amount)
	}
	portion := tally.Portion{State: p.state, Contributions: contributions, First: p.first, Last: last}
	if last && p.rule.Kind != tally.Window {
		portion.SetSums(p.sums[:])
	}
	portion.Sum = portion.State.Sum()
	if last && p.past != nil {
		p.past.AddState(&portion.State, p.prior)
		portion.Past = p.past
	}
	p.first = false
	return p.each(portion)
}

// finish emits the last portion.
func (p *portioner) finish() error { return p.emit(p.pending, true) }
