package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// restoreEach restores topics with a seed, most with the same one, and a version each.
func restoreEach(t *testing.T, store *redisstore.Store, topics []tally.Topic, seed, version func(i int) int64) {
	t.Helper()
	var portions []tally.Portion
	for i, topic := range topics {
		state := tally.State{Change: tally.Change{Topic: topic, Count: seed(i), Version: version(i)}, Seed: seed(i)}
		portions = append(portions, tally.Portion{State: state, First: true, Last: true})
	}
	for chunk := range slices.Chunk(portions, tally.MaxPortion) {
		if err := store.Restore(t.Context(), false, chunk); err != nil {
			t.Fatal(err)
		}
	}
}

// Between two pages by newest or by count, topics appear, disappear and change their place, also
// the last one of a page. A list has each topic that does not change once, and in order. Most
// topics have the same count and the same version.
func TestList_ChangesBetweenPages(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	const each, limit = 400, 37
	for _, order := range []tally.Order{tally.ByNewest, tally.ByCount} {
		prefix := newPrefix()
		sites := tally.NewCatalog([]string{"blog", "default"}, tally.DefaultMetrics())
		store := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{TopInterval: time.Hour, Timeout: processtest.Timeout}}.connect(t, sites, prefix)
		var topics []tally.Topic
		for _, name := range []string{"blog/likes/", "default/claps/", "default/likes/"} {
			for i := range each {
				topics = append(topics, topic(t, fmt.Sprintf("%s%03d/é", name, i)))
			}
		}
		tie := func(i int) int64 { // two of three are equal
			if i%3 == 0 {
				return int64(1000 + i%7)
			}
			return 1000
		}
		restoreEach(t, store, topics, tie, tie)
		var stored []tally.Cursor
		unchanged := map[tally.Topic]bool{}
		for _, topic := range topics {
			change := read(t, store, topic, 0).Change
			unchanged[topic] = true
			value := change.Count
			if order == tally.ByNewest {
				value = change.Version
			}
			stored = append(stored, tally.Cursor{Value: value, Topic: topic})
		}
		slices.SortFunc(stored, func(a, b tally.Cursor) int { return compareCursors(a, b) })
		var got []tally.Topic
		listing := tally.Listing{Order: order, Limit: limit}
		for n := 0; ; n++ {
			page, err := store.List(t.Context(), listing)
			if err != nil {
				t.Fatal(err)
			}
			for _, state := range page.States {
				got = append(got, state.Topic)
			}
			if listing.After = page.Next; page.Next == "" {
				break
			}
			last := page.States[len(page.States)-1].Topic
			unchanged[last] = false
			switch n % 3 {
			case 0:
				edit(t, store, tally.Edit{Topic: last, Kind: tally.EditDelete})
			case 1:
				edit(t, store, tally.Edit{Topic: last, Kind: tally.EditSeed, Value: 5000})
			case 2:
				edit(t, store, tally.Edit{Topic: last, Kind: tally.EditSeed, Value: 1})
			}
			created := topic(t, fmt.Sprintf("default/likes/%03d/between", n*7))
			edit(t, store, tally.Edit{Topic: created, Kind: tally.EditSeed, Value: tie(n)})
			later := stored[(n*97)%len(stored)].Topic
			unchanged[later] = false
			edit(t, store, tally.Edit{Topic: later, Kind: tally.EditSeed, Value: 1003})
		}
		var want []tally.Topic
		for _, c := range stored {
			if unchanged[c.Topic] {
				want = append(want, c.Topic)
			}
		}
		got = slices.DeleteFunc(got, func(topic tally.Topic) bool { return !unchanged[topic] })
		if !slices.Equal(got, want) {
			t.Errorf("order %v: the list has %d of %d topics that did not change, or in another order", order, len(got), len(want))
		}
	}
}

// compareCursors orders topics as pages do.
func compareCursors(a, b tally.Cursor) int {
	if a.Value != b.Value {
		return int(b.Value - a.Value)
	}
	return slices.Compare([]string{a.Topic.Site(), a.Topic.Metric(), a.Topic.Key()}, []string{b.Topic.Site(), b.Topic.Metric(), b.Topic.Key()})
}

// The last page of many topics with the same count or version is as short as the first.
func TestList_TiesWork(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{TopInterval: 10 * time.Millisecond}}.connect(t, catalog(), prefix)
	const equal, limit = 8000, 10
	topics := make([]tally.Topic, equal)
	for i := range topics {
		topics[i] = topic(t, fmt.Sprintf("default/likes/%05d", i))
	}
	one := func(int) int64 { return 1 << 50 }
	restoreEach(t, store, topics, one, one)
	processtest.Eventually(t, "all are listed", func() bool { return server.Do("ZCARD", prefix+":topics:{default}") == int64(equal) })
	for _, order := range []tally.Order{tally.ByNewest, tally.ByCount} {
		last := tally.Cursor{Value: 1 << 50, Topic: topics[equal-limit-1]}
		before := sent(server)
		page, err := store.List(t.Context(), tally.Listing{Scope: tally.Scope{Site: "default", Metric: "likes"}, Order: order, Limit: limit, After: last.Text(order)})
		used := sent(server) - before
		if err != nil || len(page.States) != limit || page.States[0].Topic != topics[equal-limit] || page.Next != "" {
			t.Fatalf("order %v: %d topics, next %q, error %v", order, len(page.States), page.Next, err)
		}
		if used > 500*limit { // with those of INFO
			t.Errorf("order %v: Redis sent %d bytes for the last page, of %d topics", order, used, limit)
		}
	}
}

// sent returns how many bytes a server has sent, without those of this call.
func sent(server *redistest.Server) (bytes int) {
	for _, line := range strings.Split(fmt.Sprint(server.Do("INFO", "stats")), "\r\n") {
		_, _ = fmt.Sscanf(line, "total_net_output_bytes:%d", &bytes)
	}
	return bytes
}
