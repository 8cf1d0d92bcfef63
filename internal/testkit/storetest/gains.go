package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// gainLag is how far TopGains may be behind: 5 s by contract, and as long for other tests beside it.
const gainLag = 10 * time.Second

// topGains returns the gains of topics since a time, in order, and the topics.
func topGains(t tester, store tally.GainRanker, site, metric string, since tally.Since, limit int) []tally.TopicGain {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	gains, err := store.TopGains(ctx, site, metric, since, limit)
	if err != nil {
		t.Fatalf("the gains of %s/%s since %s: %v", site, metric, since, err)
	}
	return gains
}

// expectGains waits until the gains of the keys since a time are want, in order.
func expectGains(t tester, store tally.GainRanker, metric string, since tally.Since, want map[string]int64) {
	t.Helper()
	expectGainsWithin(t, waitTimeout, store, metric, since, want)
}

// expectGainsWithin is expectGains with a limit.
func expectGainsWithin(t tester, limit time.Duration, store tally.GainRanker, metric string, since tally.Since, want map[string]int64) {
	t.Helper()
	var expected []string
	for key, gain := range want {
		if gain > 0 {
			expected = append(expected, fmt.Sprintf("%s %d", key, gain))
		}
	}
	slices.SortFunc(expected, func(a, b string) int {
		keyA, _, _ := strings.Cut(a, " ")
		keyB, _, _ := strings.Cut(b, " ")
		return cmp.Or(cmp.Compare(want[keyB], want[keyA]), strings.Compare(keyA, keyB))
	})
	var got []string
	within(t, limit, func() bool {
		got = nil
		for _, r := range topGains(t, store, "default", metric, since, 100) {
			if _, ok := want[r.Topic.Key()]; ok {
				got = append(got, fmt.Sprintf("%s %d", r.Topic.Key(), r.Gain))
			}
		}
		return slices.Equal(got, expected)
	}, func() string {
		return fmt.Sprintf("the gains of %s since %s are %q, want %q", metric, since, got, expected)
	})
}

// testTopGains orders topics by their gains while the clock moves. Topics that leave the time
// leave the list, and a lower contribution lowers a gain.
func testTopGains(t *testing.T, open Factory) {
	f := historyFixture(t, open, tally.MaxHistory)
	for _, metric := range kinds {
		f.Advance(24 * time.Hour)
		a, b, c := newTopic(t, metric), newTopic(t, metric), newTopic(t, metric)
		since := func(since tally.Since, gains ...int64) {
			t.Helper()
			want := map[string]int64{a.Key(): gains[0], b.Key(): gains[1], c.Key(): gains[2]}
			expectGainsWithin(t, gainLag, f.First, metric, since, want)
			expectGainsWithin(t, gainLag, f.other(), metric, since, want)
		}
		apply(t, f.First, a, assert(1, 1), assert(2, 1))
		apply(t, f.other(), b, assert(1, 1), assert(2, 1), assert(3, 1))
		restore(t, f.First, false, wholePortion(c, 7, 0, map[tally.Member]int64{1: 1, 2: 1}))
		since(tally.Since24h, 2, 3, 0) // imports are no gain
		f.Advance(24 * time.Hour)
		since(tally.Since24h, 2, 3, 0) // the hour in which it began
		apply(t, f.First, a, assert(3, 1))
		apply(t, f.First, c, assert(3, 1))
		f.Advance(time.Hour)
		since(tally.Since24h, 1, 0, 1) // without a change of b
		since(tally.Since7d, 3, 3, 1)
		edit(t, f.First, editOf(b, tally.Edit{Kind: tally.EditBase, Value: 50}))
		since(tally.Since30d, 3, 3, 1) // edits are no gain
		if metric == "likes" || metric == "claps" {
			apply(t, f.First, b, assert(1, 0))
			since(tally.Since24h, 1, 0, 1)
			since(tally.Since7d, 3, 2, 1)
			journal := recent(t, f.First, a)
			revert(t, f.other(), journal[1:2])
			since(tally.Since24h, 1, 0, 1)
			since(tally.Since7d, 2, 2, 1)
		} else {
			apply(t, f.First, b, assert(4, 1))
			edit(t, f.First, tally.Edit{Topic: b, Kind: tally.EditReset})
			since(tally.Since7d, 3, 0, 1)
			apply(t, f.First, b, assert(4, 1), assert(5, 1))
			since(tally.Since7d, 3, 2, 1)
			apply(t, f.First, a, assert(5, 1), assert(6, 1))
			edit(t, f.other(), tally.Edit{Topic: a, Kind: tally.EditDelete})
			since(tally.Since7d, 0, 2, 1)
			apply(t, f.First, a, assert(1, 1), assert(2, 1))
			since(tally.Since24h, 2, 2, 1)
		}
		f.Advance(7 * 24 * time.Hour)
		f.Advance(time.Hour)
		since(tally.Since7d, 0, 0, 0)
		since(tally.Since30d, 2, 2, 1)
		f.Advance(25 * 24 * time.Hour)
		since(tally.Since30d, 0, 0, 0)
	}
	for since := range tally.Since(tally.SinceCount) {
		if got := topGains(t, f.First, "default", "party", since, 10); len(got) != 0 {
			t.Errorf("the gains of an unused metric are %v", got)
		}
	}
}

// testGains follows changes through all stores, without a clock that moves.
func testGains(t *testing.T, open Factory) {
	f := open(t, Options{Catalog: catalog(), Journal: week, History: tally.MaxHistory})
	gains := map[string]int64{}
	var topics []tally.Topic
	for i := range int64(40) {
		topic := newTopic(t, "claps")
		topics, gains[topic.Key()] = append(topics, topic), 1+i
		apply(t, f.First, topic, assert(1, 1+i))
	}
	reach := func() {
		t.Helper()
		for since := range tally.Since(tally.SinceCount) {
			for _, store := range f.stores() {
				expectGainsWithin(t, gainLag, store, "claps", since, gains)
			}
		}
	}
	reach()
	for _, topic := range topics[:10] {
		apply(t, f.other(), topic, assert(1, 0))
		gains[topic.Key()] = 0
	}
	reach()
	for _, topic := range topics[10:20] {
		edit(t, f.First, tally.Edit{Topic: topic, Kind: tally.EditDelete})
		gains[topic.Key()] = 0
	}
	reach()
}
