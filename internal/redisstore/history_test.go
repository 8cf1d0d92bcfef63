package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// The history takes at most 64 bytes for each day on which a topic changed, after its hours
// have expired.
func TestHistory_Memory(t *testing.T) {
	t.Parallel()
	const topics, days, bytes = 50, 30, 64
	server := redistest.Start(t, redistest.Options{Clock: true})
	config := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{History: tally.MaxHistory}}
	store := config.connect(t, catalog(), "test")
	var ahead time.Duration
	member := tally.Member(0)
	for range days {
		for range 3 {
			batches := make([]tally.Batch, topics)
			for i := range batches {
				member += 1 << 40
				batches[i] = tally.Batch{Topic: topic(t, fmt.Sprintf("default/likes/page-%d", i)),
					Writes: []tally.Write{{Member: member, Amount: 1, MayCreate: true}}}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			store.Apply(ctx, batches)
			cancel()
			for i := range batches {
				if batches[i].Err != nil {
					t.Fatal(batches[i].Err)
				}
			}
			ahead += 2 * time.Hour
			server.SetClock(ahead)
		}
		ahead += 18 * time.Hour
		server.SetClock(ahead)
	}
	server.SetClock(ahead + 10*24*time.Hour)
	total := int64(0)
	for i := range topics {
		key := fmt.Sprintf("test:{default/likes/page-%d}:", i)
		if server.Do("exists", key+"hours") != int64(0) {
			t.Errorf("the hours of topic %d have not expired", i)
		}
		used, _ := server.Do("memory", "usage", key+"days").(int64)
		total += used
	}
	t.Logf("%.1f bytes a topic and day", float64(total)/topics/days)
	if total == 0 || total > topics*days*bytes {
		t.Errorf("the history takes %d bytes, more than %d a topic and day", total, bytes)
	}
}

// The past of a topic that an earlier release deleted is not that of a topic which is imported
// later under its name.
func TestHistory_ImportAfterDelete(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	config := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{History: tally.MaxHistory}}
	store := config.connect(t, catalog(), "test")
	server.Do("hset", "test:{default/likes/page}:days", time.Now().Unix()/86400-3, "900")
	page := topic(t, "default/likes/page")
	portion := tally.Portion{Sum: 1, Contributions: []tally.Contribution{{Member: 1, Amount: 1}}, First: true, Last: true}
	portion.Topic, portion.Count, portion.Version = page, 1, time.Now().UnixMicro()
	if err := store.Restore(t.Context(), false, []tally.Portion{portion}); err != nil {
		t.Fatal(err)
	}
	if server.Do("exists", "test:{default/likes/page}:days") != int64(0) {
		t.Error("the import kept the past of the deleted topic")
	}
}

// Pages that do not exist do not fill the store: presence within one hour leaves nothing behind.
func TestHistory_PresenceWithinAnHour(t *testing.T) {
	t.Parallel()
	const topics = 20
	server := redistest.Start(t, redistest.Options{Clock: true})
	config := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{History: tally.MaxHistory}}
	store := config.connect(t, catalog(), "test")
	beforeHour := time.Until(time.Now().Truncate(time.Hour).Add(2*time.Hour - 10*time.Minute))
	server.SetClock(beforeHour)
	mayRecord := true
	share := func(topics, pages int64) {
		t.Helper()
		var shares []tally.Share
		for i := range topics {
			shares = append(shares, tally.Share{Topic: topic(t, fmt.Sprintf("default/readers/page-%d", i)), Pages: pages, MayRecord: mayRecord})
		}
		if err := store.SetShares(t.Context(), time.Minute, shares); err != nil {
			t.Fatal(err)
		}
	}
	histories := func() int {
		return len(server.Do("keys", "*:days").([]any)) + len(server.Do("keys", "*:hours").([]any))
	}
	for pages := range int64(3) {
		share(topics, pages+1)
	}
	share(topics, 0)
	if n := histories(); n != 0 {
		t.Errorf("%d histories of topics that were present within an hour", n)
	}
	server.SetClock(beforeHour + 11*time.Minute)
	mayRecord = false
	share(topics, 1)
	if n := histories(); n != 0 {
		t.Errorf("%d histories of topics whose shares may not begin one", n)
	}
	server.SetClock(beforeHour + 65*time.Minute) // less than an hour later, so that the count is kept
	share(1, 1)
	mayRecord = true
	server.SetClock(beforeHour + 71*time.Minute)
	share(1, 1)
	if n := histories(); n != 2 {
		t.Errorf("%d histories of one topic that was present in two hours, want 2", n)
	}
	mayRecord = false
	share(1, 2) // may continue it
	if points := store.History(t.Context(), tally.Hour, []tally.Topic{topic(t, "default/readers/page-0")})[0].Records; len(points) != 2 || points[0].Sum != 1 || points[1].Sum != 2 {
		t.Errorf("the history has %v", points)
	}
	server.SetClock(beforeHour + 4*time.Hour)
	if keys := server.Do("keys", "*{default/readers/*").([]any); len(keys) != 2 {
		t.Errorf("presence left the keys %v", keys)
	}
}
