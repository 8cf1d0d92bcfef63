package redisstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// scanChunk is how many keys of all kinds a SCAN visits: some tenths of a millisecond of
	// Redis.
	scanChunk = 1000
	// maxScans bounds how often a scan is repeated because slots moved, and rescanPause is
	// the pause before, in which the slot map may change.
	maxScans    = 5
	rescanPause = 100 * time.Millisecond
	// maxSeenKeys bounds how many keys a scan remembers, in some 20 MB. Others may be
	// returned twice, if slots move or Redis shrinks its table of keys.
	maxSeenKeys = 1 << 20
)

var (
	errIncomplete = errors.New("the Cluster does not cover all slots, or its primaries are not known")
	errMoving     = errors.New("slots are moving between nodes; try again later")
)

// scan passes all keys of all primaries that match pattern and exist during the whole scan
// to each, once (but see maxSeenKeys). It visits all keys of Redis, which takes a second
// or less for a million, in short steps.
func (s *Store) scan(ctx context.Context, pattern string, each func(keys []string) error) error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	seen := seenKeys{seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}}
	for range maxScans {
		m := s.topology.SlotMap()
		if !m.Complete() {
			return tally.Unavailable(errIncomplete)
		}
		moved := false
		for _, n := range m.Nodes() {
			for keys, err := range nodeOf(n).keys(ctx, pattern) {
				if err != nil {
					return err
				}
				moved = moved || slices.ContainsFunc(keys, func(key string) bool { return m.Node(key) != n })
				if keys = seen.unseen(keys); len(keys) > 0 {
					if err := each(keys); err != nil {
						return err
					}
				}
			}
		}
		if err := s.topology.Refresh(ctx); err != nil {
			return tally.Unavailable(err)
		}
		if !moved && s.topology.SlotMap() == m {
			return nil
		}
		if !sleep(ctx, rescanPause) {
			return tally.Unavailable(ctx.Err())
		}
	}
	return tally.Unavailable(errMoving)
}

// keys returns the keys of the node that match pattern, in steps, some more than once.
func (n *node) keys(ctx context.Context, pattern string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for cursor := uint64(0); ; {
			began := time.Now()
			keys, next, err := n.scanStep(ctx, cursor, pattern)
			if err == nil {
				err = n.store.giveWay(ctx, began)
			}
			if !yield(keys, err) || err != nil || next == 0 {
				return
			}
			cursor = next
		}
	}
}

// scanStep returns some keys of the node that match pattern, and the cursor of the next step,
// 0 after the last.
func (n *node) scanStep(ctx context.Context, cursor uint64, pattern string) (keys []string, next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.store.options.Timeout)
	defer cancel()
	keys, next, err = n.Client.Scan(ctx, cursor, pattern, scanChunk).Result()
	if err != nil {
		n.store.topology.Suspect(err)
		err = tally.Unavailable(fmt.Errorf("scan %s: %w", n.Addr, err))
	}
	return keys, next, err
}

// seenKeys is a set of keys, as hashes of 64 bits: of a million keys, two are confused once
// in 30 million scans.
type seenKeys struct {
	seed maphash.Seed
	keys map[uint64]struct{}
}

// unseen returns the keys that were not seen before.
func (k *seenKeys) unseen(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		hash := maphash.String(k.seed, key)
		if _, ok := k.keys[hash]; ok {
			return true
		}
		if len(k.keys) < maxSeenKeys {
			k.keys[hash] = struct{}{}
		}
		return false
	})
}

// Topics implements [tally.Ledger]. It scans the keys of all primaries, and leaves out
// undeclared sites and metrics.
func (s *Store) Topics(ctx context.Context, scope tally.Scope, each func(topics []tally.Topic) error) error {
	if scope.Exact { // without data it has version 0
		topic, err := s.exact(scope)
		if err != nil {
			return err
		}
		return each([]tally.Topic{topic})
	}
	return s.scan(ctx, s.names.countPattern(scope), func(keys []string) error {
		topics := slices.DeleteFunc(s.countedTopics(keys), func(topic tally.Topic) bool {
			return !scope.Contains(topic) || s.catalog.CheckEditable(topic) != nil
		})
		if len(topics) == 0 {
			return nil
		}
		return each(topics)
	})
}

// countedTopics returns the declared topics that keys have the counts of.
func (s *Store) countedTopics(keys []string) (topics []tally.Topic) {
	for _, key := range keys {
		if text, ok := s.names.countTopic(key); ok {
			if topic, err := s.catalog.Resolve(text); err == nil {
				topics = append(topics, topic)
			}
		}
	}
	return topics
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
