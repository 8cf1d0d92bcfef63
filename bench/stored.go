package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// storedTarget is what a like of a hot topic may take in Redis, in bytes.
const storedTarget = 16

// fillWithin is how long storing all likes may take.
const fillWithin = 30 * time.Minute

// scanBatch is how many keys are asked for at once.
const scanBatch = 1000

// store measures what a like takes in Redis, on one topic and spread over many.
func (c *memoryCase) store(s *session) error {
	table := s.report.Table("likes in Redis", "topics", "keys", "bytes a like (MEMORY USAGE)")
	for _, topics := range []int{1, c.Topics} {
		s.with(peer.Tallycast(), func(server *peer.Server) error {
			s.say("storing %d likes on %d topics", c.Likes, topics)
			likers, err := server.Likers(s.ctx, load.Concurrency{Loops: 64})
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
			keys, bytes, err := redisMemory(s, server.Redis.Address)
			if err != nil {
				return err
			}
			each := float64(bytes) / float64(c.Likes)
			table.Row(c.Likes, topics, keys, each)
			if topics == 1 {
				s.report.Target(report.Target{What: "Redis memory a like, one hot topic", Figure: each, Limit: storedTarget, Unit: "bytes"})
			}
			return s.report.Record(map[string]any{"Likes": c.Likes, "Topics": topics, "Keys": keys, "Bytes": bytes})
		})
	}
	return nil
}

// redisMemory adds up MEMORY USAGE of all keys, every element sampled.
func redisMemory(s *session, address string) (keys int, bytes int64, err error) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { err = errors.Join(err, client.Close()) }()
	for cursor := uint64(0); ; {
		var batch []string
		if batch, cursor, err = client.Scan(s.ctx, cursor, "*", scanBatch).Result(); err != nil {
			return keys, bytes, err
		}
		answers, err := client.Pipelined(s.ctx, func(pipe redis.Pipeliner) error {
			for _, key := range batch {
				pipe.MemoryUsage(s.ctx, key, 0)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) { // a key that expired since
			return keys, bytes, err
		}
		for _, answer := range answers {
			bytes += answer.(*redis.IntCmd).Val()
		}
		keys += len(batch)
		if cursor == 0 {
			return keys, bytes, nil
		}
	}
}
