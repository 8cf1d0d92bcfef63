package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// dumpTopics is how many topics one pipeline begins to read.
	dumpTopics = 64
	// walkBytes is how many bytes of members one script reads, and walkMembers how many
	// amounts: a tenth of a millisecond or two of Redis. A topic of no more is read at
	// one moment.
	walkBytes   = 64 << 10
	walkMembers = 1000
	// maxSeenMembers is how many members of a topic of amounts are remembered, some
	// 5 MB, so that none is handed over twice. A topic of more is read several times,
	// each time for a part of them.
	maxSeenMembers = 256 << 10
	// walkEnd is behind the last path, see walk.lua.
	walkEnd = 1 << (4 * pathDigits)
)

// Dump implements [tally.Ledger]. Topics are found by going over all keys of every
// primary; topics of sites and metrics that are not declared are left out, since
// nobody knows what they are. Some 20 MB remember which topics were met; beyond a
// million of them one may be handed over twice, see remembered.
func (s *Store) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return s.scanTopics(ctx, scope, func(topics []tally.Topic) error {
		for chunk := range slices.Chunk(topics, dumpTopics) {
			calls := make([]redistopology.Call, len(chunk))
			for i, topic := range chunk {
				calls[i] = s.walkCall(topic, 0)
			}
			if err := s.callAll(ctx, calls); err != nil {
				return err
			}
			for i, topic := range chunk {
				if err := s.dumpTopic(ctx, topic, &calls[i], each); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// walkCall reads a topic's state, and its members from somewhere on: a path, or for
// amounts a cursor.
func (s *Store) walkCall(topic tally.Topic, from uint64) redistopology.Call {
	script, enough := walkScript, walkBytes
	if s.catalog.Rule(topic).Kind == tally.Amount {
		script, enough = walkAmountScript, walkMembers
	}
	c := redistopology.NewCall(script, s.names.count(topic), s.names.members(topic))
	c.Append(from, enough)
	return c
}

// walkReply is what walk.lua and walkamount.lua read.
type walkReply struct {
	state   tally.State
	next    uint64
	total   int64    // of amounts: how many there are
	members []string // buckets; or members and amounts by turns
}

var errBadWalk = errors.New("a script that reads a topic answered what cannot be read")

func parseWalk(c *redistopology.Call, topic tally.Topic, amounts bool) (w walkReply, err error) {
	if c.Err != nil {
		return walkReply{}, c.Err
	}
	list, _ := c.Reply.([]any)
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i], _ = item.(string)
	}
	fixed := 5
	if amounts {
		fixed = 6
	}
	if len(texts) < fixed {
		return walkReply{}, errBadWalk
	}
	var n [6]int64
	for i := range fixed {
		if i == 4 {
			w.next, err = strconv.ParseUint(texts[i], 10, 64)
		} else {
			n[i], err = strconv.ParseInt(texts[i], 10, 64)
		}
		if err != nil {
			return walkReply{}, fmt.Errorf("%w: %w", errBadWalk, err)
		}
	}
	w.state = tally.State{Change: tally.Change{Topic: topic, Count: n[0], Version: n[1]}, Seed: n[2], Adjustment: n[3]}
	w.total, w.members = n[5], texts[fixed:]
	return w, nil
}

// dumpTopic hands over a topic whose first members were read.
func (s *Store) dumpTopic(ctx context.Context, topic tally.Topic, first *redistopology.Call, each func(tally.Portion) error) error {
	rule := s.catalog.Rule(topic)
	amounts := rule.Kind == tally.Amount
	w, err := parseWalk(first, topic, amounts)
	if err != nil {
		return tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))
	}
	if w.state.Version == 0 {
		return nil // it ended meanwhile
	}
	u := &portioner{rule: rule, each: each, first: true, state: w.state}
	walk := s.dumpMembers
	if amounts {
		walk = s.dumpAmounts
	}
	if err := walk(ctx, u, w); err != nil {
		return err
	}
	return u.finish()
}

// readNext reads on.
func (s *Store) readNext(ctx context.Context, u *portioner, from uint64) (walkReply, error) {
	topic := u.state.Topic
	calls := []redistopology.Call{s.walkCall(topic, from)}
	err := s.callAll(ctx, calls)
	if err != nil {
		return walkReply{}, err
	}
	w, err := parseWalk(&calls[0], topic, u.rule.Kind == tally.Amount)
	if err != nil {
		return walkReply{}, tally.Unavailable(fmt.Errorf("read %s: %w", topic, err))
	}
	if w.state.Version > 0 { // else it ended meanwhile
		u.state = w.state
	}
	return w, nil
}

func (s *Store) dumpMembers(ctx context.Context, u *portioner, w walkReply) (err error) {
	for from := uint64(0); ; {
		var some []tally.Contribution
		for _, bucket := range w.members {
			for ; len(bucket) >= 8; bucket = bucket[8:] {
				member := binary.BigEndian.Uint64([]byte(bucket[:8]))
				if member>>(64-4*pathDigits) >= from {
					some = append(some, tally.Contribution{Member: tally.Member(member), Amount: 1})
				}
			}
		}
		if err := u.add(some); err != nil {
			return err
		}
		if from = w.next; from >= walkEnd {
			return nil
		}
		if w, err = s.readNext(ctx, u, from); err != nil {
			return err
		}
	}
}

func (s *Store) dumpAmounts(ctx context.Context, u *portioner, w walkReply) (err error) {
	passes := uint64(w.total)/maxSeenMembers + 1
	for pass := range passes {
		met := map[uint64]bool{}
		if pass > 0 {
			if w, err = s.readNext(ctx, u, 0); err != nil {
				return err
			}
		}
		for {
			var some []tally.Contribution
			for i := 0; i+1 < len(w.members); i += 2 {
				amount, err := strconv.ParseInt(w.members[i+1], 10, 64)
				if len(w.members[i]) != 8 || err != nil {
					return tally.Unavailable(fmt.Errorf("read %s: %w", u.state.Topic, errNoNumber))
				}
				member := binary.BigEndian.Uint64([]byte(w.members[i]))
				if member%passes == pass && !met[member] {
					met[member] = true
					some = append(some, tally.Contribution{Member: tally.Member(member), Amount: amount})
				}
			}
			if err := u.add(some); err != nil {
				return err
			}
			if w.next == 0 {
				break
			}
			if w, err = s.readNext(ctx, u, w.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// portioner cuts what was read of a topic into portions.
type portioner struct {
	rule  tally.Rule
	each  func(tally.Portion) error
	state tally.State // as it was read last

	first   bool
	pending []tally.Contribution
	sum     int64
}

// add hands over what is certainly not the last portion.
func (u *portioner) add(some []tally.Contribution) error {
	u.pending = append(u.pending, some...)
	for len(u.pending) > tally.MaxPortion {
		portion := slices.Clone(u.pending[:tally.MaxPortion])
		u.pending = u.pending[tally.MaxPortion:]
		if err := u.emit(portion, false); err != nil {
			return err
		}
	}
	return nil
}

func (u *portioner) emit(contributions []tally.Contribution, last bool) error {
	for _, c := range contributions {
		u.sum += c.Amount
	}
	p := tally.Portion{State: u.state, Contributions: contributions, Sum: u.sum, First: u.first, Last: last}
	switch {
	case u.rule.Kind == tally.Window:
		p.Sum = p.Count - p.Seed - p.Adjustment
	case last:
		p.Adjustment = max(p.Adjustment, -p.Seed-p.Sum)
		p.Count = p.Seed + p.Adjustment + p.Sum
	}
	u.first = false
	return u.each(p)
}

// finish hands over the last portion.
func (u *portioner) finish() error { return u.emit(u.pending, true) }
