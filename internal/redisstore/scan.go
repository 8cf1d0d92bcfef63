package redisstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// scanChunk is how many keys of all kinds a step of a scan looks at: some tenths of
	// a millisecond of Redis.
	scanChunk = 1000
	// maxScans is how often all is looked at anew when slots moved meanwhile.
	maxScans = 5
	// maxSeenKeys bounds the keys of which a scan knows that it met them, some 20 MB. What
	// is met beyond may be met again, where Redis makes its table of keys smaller
	// meanwhile, or slots move.
	maxSeenKeys = 1 << 20
)

// rescanPause lets the slot map change before all is looked at again.
const rescanPause = 100 * time.Millisecond

var errIncomplete = errors.New("the Cluster does not cover all slots, or its primaries are not known")

var errMoving = errors.New("slots move from node to node; try again when they have arrived")

// scan hands all keys that match pattern and were there all the time to each, once
// (but see remembered), from every primary. It goes over all keys that Redis holds,
// of which a million take it a second or less in all, in steps that let others through.
func (s *Store) scan(ctx context.Context, pattern string, each func(keys []string) error) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	met := seenKeys{seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}}
	for range maxScans {
		c := s.topology.SlotMap()
		if !c.Complete() {
			return tally.Unavailable(errIncomplete)
		}
		moved := false
		for _, n := range c.Nodes() {
			err := stateOf(n).scan(ctx, pattern, func(keys []string) error {
				moved = moved || slices.ContainsFunc(keys, func(key string) bool { return c.Node(key) != n })
				if keys = met.unseen(keys); len(keys) == 0 {
					return nil
				}
				return each(keys)
			})
			if err != nil {
				return err
			}
		}
		if err := s.topology.Refresh(ctx); err != nil {
			return tally.Unavailable(err)
		}
		if !moved && s.topology.SlotMap() == c {
			return nil
		}
		if !sleep(ctx, rescanPause) {
			return tally.Unavailable(ctx.Err())
		}
	}
	return tally.Unavailable(errMoving)
}

// scan hands the keys of the node that match pattern to each, some more than once.
func (n *node) scan(ctx context.Context, pattern string, each func(keys []string) error) error {
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			return tally.Unavailable(err)
		}
		step, cancel := context.WithTimeout(ctx, timeout)
		keys, next, err := n.Client.Scan(step, cursor, pattern, scanChunk).Result()
		cancel()
		if err != nil {
			n.store.topology.Suspect(err)
			return tally.Unavailable(fmt.Errorf("scan %s: %w", n.Addr, err))
		}
		if err := each(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// seenKeys knows which keys were met, by 64 bits of their hash: that two of a million
// are taken for one happens once in 30 million scans.
type seenKeys struct {
	seed maphash.Seed
	keys map[uint64]struct{}
}

// unseen returns the keys that are met for the first time.
func (m *seenKeys) unseen(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		hash := maphash.String(m.seed, key)
		if _, met := m.keys[hash]; met {
			return true
		}
		if len(m.keys) < maxSeenKeys {
			m.keys[hash] = struct{}{}
		}
		return false
	})
}

// scanTopics hands all topics of scope that have a count to each, as scan does,
// presence left out, and topics of sites and metrics that are not declared.
func (s *Store) scanTopics(ctx context.Context, scope tally.Scope, each func(topics []tally.Topic) error) error {
	if scope.Exact { // it may not be there: then it has no version
		topic, err := s.exact(scope)
		if err != nil {
			return err
		}
		return each([]tally.Topic{topic})
	}
	return s.scan(ctx, s.names.countPattern(scope), func(keys []string) error {
		topics := make([]tally.Topic, 0, len(keys))
		for _, key := range keys {
			if text, ok := s.names.countTopic(key); ok {
				if topic, err := s.catalog.Resolve(text); err == nil && scope.Contains(topic) && s.catalog.CheckEditable(topic) == nil {
					topics = append(topics, topic)
				}
			}
		}
		if len(topics) == 0 {
			return nil
		}
		return each(topics)
	})
}

// exact returns the one topic of scope.
func (s *Store) exact(scope tally.Scope) (tally.Topic, error) {
	if err := s.checkUsable(); err != nil {
		return tally.Topic{}, err
	}
	topic, err := tally.NewTopic(scope.Site, scope.Metric, scope.Prefix)
	if err == nil {
		err = s.catalog.CheckEditable(topic)
	}
	return topic, err
}
