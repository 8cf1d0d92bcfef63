package redisstore

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// Topics that change while all are read do not hide others, and topics of one version do not
// stop the reading.
func TestEachChanged_TopicsThatChange(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	b := siteMetric{tally.DefaultSite, "likes"}
	key := f.names.gainKeys(b)[0]
	const topics, version = 4 * changedChunk, 2_000_000_000
	var members []redis.Z
	for i := range topics {
		score := version + float64(i)
		if i >= 2*changedChunk {
			score = 2 * version
		}
		members = append(members, redis.Z{Score: score, Member: fmt.Sprintf("page-%04d", i)})
	}
	if err := f.client.ZAdd(t.Context(), key, members...).Err(); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	next := redis.ZRangeArgs{Key: key, ByScore: true, Start: minVersion, Stop: "+inf", Count: changedChunk}
	err := f.eachChanged(t.Context(), b, next, func(some []tally.Topic, _ map[tally.Topic]int64) error {
		for _, topic := range some {
			read[topic.Key()] = true
		}
		if len(read) > changedChunk {
			return nil
		}
		return f.client.ZAdd(t.Context(), key, redis.Z{Score: 3 * version, Member: some[len(some)-1].Key()}).Err()
	})
	if err != nil || len(read) != topics {
		t.Errorf("%d of %d topics were read, error %v", len(read), topics, err)
	}
}

// Of a large directory the topics that changed last are read, since no others have gains.
func TestEachChanged_LargeDirectory(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	b := siteMetric{tally.DefaultSite, "likes"}
	const topics = gainsSize + 2*changedChunk
	for i := 0; i < topics; i += changedChunk {
		var members []redis.Z
		for n := i; n < i+changedChunk; n++ {
			members = append(members, redis.Z{Score: float64(n + 1), Member: fmt.Sprintf("likes/%d", n)})
		}
		if err := f.client.ZAdd(t.Context(), f.names.directory(b.site), members...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	used, first := 0, ""
	err := f.eachChanged(t.Context(), b, f.directoryRange(b, 1), func(some []tally.Topic, _ map[tally.Topic]int64) error {
		if used == 0 {
			first = some[0].Key()
		}
		used += len(some)
		return nil
	})
	if err != nil || used >= topics || first != fmt.Sprint(topics-1) {
		t.Errorf("%d of %d topics were read, the first is %s, error %v", used, topics, first, err)
	}
}

// A first read at the end of an hour begins in the next one.
func TestTopGains_HourEnds(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	if err := f.beginReading(t.Context(), siteMetric{tally.DefaultSite, "likes"}, 1); err != nil {
		t.Errorf("error %v", err)
	}
}
