package redisstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// A revert takes a few commands for each contribution, and few round trips for many topics.
func TestRevert_Work(t *testing.T) {
	t.Parallel()
	const topics = 1000
	f := newRevertFixture(t, "likes")
	batches := make([]tally.Batch, topics)
	for i := range batches {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprintf("page-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		batches[i] = tally.Batch{Topic: topic, Writes: []tally.Write{{Member: tally.Member(i + 1), Source: 1, Amount: 1, MayCreate: true}}}
	}
	f.Apply(t.Context(), batches)
	for _, b := range batches {
		if b.Err != nil {
			t.Fatal(b.Err)
		}
	}
	f.flushRanks(timeout) // else it could run meanwhile
	commands := func() (n int) {
		for _, line := range strings.Split(fmt.Sprint(f.server.Do("INFO", "stats")), "\r\n") {
			_, _ = fmt.Sscanf(line, "total_commands_processed:%d", &n)
		}
		return n
	}
	before, trips := commands(), f.stats.roundTrips.Count()
	var entries []tally.JournalEntry
	err := f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		entries = append(entries, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reverted, _, err := f.Revert(t.Context(), entries, tally.RevertPast)
	if err != nil || len(reverted) != topics {
		t.Fatalf("%d contributions were reverted, error %v", len(reverted), err)
	}
	used, trips := commands()-before, f.stats.roundTrips.Count()-trips
	if used > 14*topics || trips > 40 {
		t.Errorf("%d commands and %d round trips for %d topics", used, trips, topics)
	}
}
