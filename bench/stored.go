package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits of the memory of a like in Redis, on one topic, in bytes: permanent, and in the
// journal, which expires.
const (
	storedTarget  = 16
	journalTarget = 24
)

// fillWithin is the time for storing all likes.
const fillWithin = 30 * time.Minute

// scanBatch is the number of keys of one SCAN.
const scanBatch = 1000

// store measures the memory of a like in Redis, on one topic and spread over many.
func (c *memoryCase) store(s *session) error {
	table := s.report.Table("likes in Redis", "topics", "keys", "bytes a like (MEMORY USAGE)", "in the journal, for a week")
	for _, topics := range []int{1, c.Topics} {
		s.withServer(peer.Tallycast(), func(server *peer.Server) error {
			s.progressf("storing %d likes on %d topics", c.Likes, topics)
			likers, err := server.Likers(load.Concurrency{Loops: 64})
			if err != nil {
				return err
			}
			result, err := likers.Run(s.ctx, load.Job{Topics: topics, For: fillWithin, Count: c.Likes})
			if err := errors.Join(err, likers.Close()); err != nil {
				return err
			}
			if result.Likes != c.Likes {
				return fmt.Errorf("%d of %d likes were acknowledged", result.Likes, c.Likes)
			}
			keys, kept, journal, err := redisMemory(s, server.Redis.Address)
			if err != nil {
				return err
			}
			each, recent := float64(kept)/float64(c.Likes), float64(journal)/float64(c.Likes)
			table.Row(c.Likes, topics, keys, each, recent)
			if topics == 1 {
				s.report.Target(report.Target{What: "Redis memory a like, one hot topic", Figure: each, Limit: storedTarget, Unit: "bytes"})
				s.report.Target(report.Target{What: "its journal", Figure: recent, Limit: journalTarget, Unit: "bytes"})
			}
			return s.report.Record(map[string]any{"Likes": c.Likes, "Topics": topics, "Keys": keys, "Bytes": kept, "Journal": journal})
		})
	}
	return nil
}

// redisMemory returns the sums of MEMORY USAGE over all keys, with every element sampled:
// permanent keys and journal keys.
func redisMemory(s *session, address string) (keys int, kept, journal int64, err error) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { err = errors.Join(err, client.Close()) }()
	for cursor := uint64(0); ; {
		var batch []string
		if batch, cursor, err = client.Scan(s.ctx, cursor, "*", scanBatch).Result(); err != nil {
			return keys, kept, journal, err
		}
		answers, err := client.Pipelined(s.ctx, func(pipe redis.Pipeliner) error {
			for _, key := range batch {
				pipe.MemoryUsage(s.ctx, key, 0)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) { // a key that expired since
			return keys, kept, journal, err
		}
		for i, answer := range answers {
			bytes := answer.(*redis.IntCmd).Val()
			if strings.Contains(batch[i], "}:journal:") {
				journal += bytes
			} else {
				kept += bytes
			}
		}
		keys += len(batch)
		if cursor == 0 {
			return keys, kept, journal, nil
		}
	}
}
