package redisstore_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestRestore_RepeatAfterKill(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: durable})
	p := storeConfig{server: server, url: server.URL(0)}
	from := p.connect(t, catalog(), newPrefix())
	likes, claps, views := topic(t, "default/likes/page"), topic(t, "default/claps/page"), topic(t, "default/visitors/page")
	fill(t, from, likes, 0, 40_000)
	fill(t, from, views, 0, 5_000)
	for i := range 20 {
		assertAll(from, processtest.Timeout, claps, int64(1+i), spreadMember(i))
	}
	fill(t, from, claps, 100, 3_000)
	edit(t, from, tally.Edit{Topic: likes, Kind: tally.EditSeed, Value: 1000})
	edit(t, from, tally.Edit{Topic: likes, Kind: tally.EditCount, Value: 7})
	want, portions := dump(t, from)
	if got := want[likes]; got.count != 7 || got.counted != 40_000 || len(got.members) != 40_000 {
		t.Fatalf("dumped: %v", got)
	}
	for _, replace := range []bool{true, false} {
		t.Run(fmt.Sprintf("replace %t", replace), func(t *testing.T) {
			to := p.connect(t, catalog(), newPrefix())
			if replace {
				fill(t, to, likes, 1_000_000, 1_003_000) // to be replaced
			}
			begun := func() bool {
				reading := to.Read(context.Background(), []tally.Query{{Topic: likes, Member: spreadMember(0)}, {Topic: views}})
				return reading[0].Mine == 1 || reading[1].Change.Version > 0
			}
			killAndRepeat(t, server, begun, func(ctx context.Context) error { return to.Restore(ctx, replace, portions) })
			got, _ := dump(t, to)
			for topic, stored := range want {
				if !got[topic].equal(stored) {
					t.Errorf("%s became %v, was %v", topic, got[topic], stored)
				}
			}
		})
	}
}

func TestRevert_RepeatAfterKill(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: durable})
	p := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Journal: 24 * time.Hour, Timeout: processtest.Timeout}}
	const each = 20_000
	metrics := tally.DefaultMetrics()
	metrics["days"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 24 * time.Hour}
	store := p.connect(t, tally.NewCatalog(nil, metrics), newPrefix())
	topics := []tally.Topic{topic(t, "default/likes/page"), topic(t, "default/claps/page"), topic(t, "default/days/page")}
	for _, topic := range topics {
		fill(t, store, topic, 0, each)
	}
	var spike []tally.JournalEntry
	err := store.Journal(t.Context(), tally.Scope{}, 0, 1<<40, func(entries []tally.JournalEntry) error {
		for _, entry := range entries {
			if entry.Source == 1 {
				spike = append(spike, entry)
			}
		}
		return nil
	})
	if err != nil || len(spike) != len(topics)*each/2 {
		t.Fatalf("%d entries: %v", len(spike), err)
	}
	begun := func() bool {
		reading := store.Read(context.Background(), []tally.Query{{Topic: topics[0]}, {Topic: topics[1]}, {Topic: topics[2]}})
		return slices.ContainsFunc(reading, func(r tally.Reading) bool { return r.Err == nil && r.Change.Count < each })
	}
	killAndRepeat(t, server, begun, func(ctx context.Context) error {
		_, _, err := store.Revert(ctx, spike, tally.RevertPast)
		return err
	})
	for _, topic := range topics {
		if got := read(t, store, topic, spreadMember(0)); got.Change.Count != each/2 || got.Mine != 0 {
			t.Errorf("%s became %+v, want %d", topic, got, each/2)
		}
		if got := read(t, store, topic, spreadMember(1)); got.Mine != 1 {
			t.Errorf("%s: a contribution of another source was reverted", topic)
		}
	}
}

// During a dump, the topic grows from one bucket to thousands.
func TestDump_BucketsDivide(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), newPrefix())
	likes, claps := topic(t, "default/likes/page"), topic(t, "default/claps/page")
	const before, steps = 12_000, 5
	for _, topic := range []tally.Topic{likes, claps} {
		fill(t, store, topic, 0, before)
		seen := map[tally.Member]bool{}
		grown := before
		err := store.Dump(t.Context(), tally.Scope{Site: topic.Site(), Metric: topic.Metric()}, func(p tally.Portion) error {
			for _, c := range p.Contributions {
				if seen[c.Member] {
					t.Errorf("%s: member %d is dumped twice", topic, c.Member)
				}
				seen[c.Member] = true
			}
			if p.Last && p.Sum != int64(len(seen)) {
				t.Errorf("%s: %d counted, %d dumped", topic, p.Sum, len(seen))
			}
			if grown < before*steps {
				fill(t, store, topic, grown, grown+before/2)
				grown += before / 2
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range before {
			if !seen[spreadMember(i)] {
				t.Fatalf("%s: a member of before the dump is missing", topic)
			}
		}
		t.Logf("%s: %d of %d members dumped", topic, len(seen), grown)
	}
}

func TestJournal_Bounds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	const retention = 48 * time.Hour
	p := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Journal: retention}}
	store := p.connect(t, catalog(), prefix)
	like(t, store, page, 1, 2)
	keys, _ := server.Do("KEYS", prefix+":{default/likes/page}:journal:*").([]any)
	if len(keys) != 1 {
		t.Fatalf("journals: %q", keys)
	}
	left := time.Duration(server.Do("PTTL", keys[0]).(int64)) * time.Millisecond
	if left < retention+23*time.Hour || left > retention+24*time.Hour+time.Second {
		t.Errorf("a journal expires after %s", left)
	}
	const full = 64 << 20
	server.Do("SETRANGE", keys[0], full-16, "0123456789abcdef")
	like(t, store, page, 3) // it is full now
	if got := like(t, store, page, 4, 5); got.Count != 5 {
		t.Errorf("with a full journal %d likes are counted", got.Count)
	}
	if size := server.Do("STRLEN", keys[0]).(int64); size != full+16 {
		t.Errorf("a full journal has %d bytes", size)
	}
	if n := metric(store, "redis_journal_skipped_total"); n != 1 {
		t.Errorf("%d batches are reported missing in the journal", n)
	}
	for _, wrong := range []time.Duration{-1, redisstore.MaxJournal + 1} {
		if _, err := redisstore.Open(server.URL(0), catalog(), redisstore.Options{Journal: wrong}); err == nil {
			t.Errorf("a journal of %s was accepted", wrong)
		}
	}
}

// An older release knows neither seed nor adjustment nor journal, and changes the same
// count.
func TestEdit_OlderRelease(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	store := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	count, members := prefix+":{default/likes/page}:count", prefix+":{default/likes/page}:members"
	server.Do("HSET", count, "n", 2, "v", 1_700_000_000_000_000)
	server.Do("HSET", members, "", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02")
	if got := edit(t, store, tally.Edit{Topic: page, Kind: tally.EditSeed, Value: 10}); got.After.Count != 12 || !got.Changed {
		t.Errorf("seeded: %+v", got.After)
	}
	server.Do("HSET", members, "", "\x00\x00\x00\x00\x00\x00\x00\x01")
	server.Do("HINCRBY", count, "n", -1) // as the older release does
	server.Do("HINCRBY", count, "v", 1)
	if got := edit(t, store, tally.Edit{Topic: page, Kind: tally.EditCount, Value: 50}); got.Before.Count != 11 || got.After.Adjustment != 39 {
		t.Errorf("edited: %+v", got)
	}
	if got, _ := dump(t, store); got[page].counted != 1 || got[page].count != 50 {
		t.Errorf("dumped: %v", got[page])
	}
	if got := server.Do("GET", prefix+":layout"); got != "1" {
		t.Errorf("the layout is now %v, which an older release refuses", got)
	}
}

// Writes of a heartbeat count once, also if its reply was lost.
func TestWriteHeartbeat_LostReply(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	proxy := redistest.StartProxy(t, server.Addr)
	store := storeConfig{url: "redis://" + proxy.Addr}.connect(t, catalog(), prefix)
	direct := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	writeHeartbeat := func(writes, total int64) error {
		return store.WriteHeartbeat(t.Context(), tally.Heartbeat{Instance: "one", Status: []byte(`{"a b":1}`), Writes: map[string]int64{"default": writes}, Totals: map[string]int64{"default": total}})
	}
	sum := func() (sum int64) {
		activity, err := direct.Activity(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range activity {
			sum += a.Writes
		}
		return sum
	}
	if err := writeHeartbeat(3, 3); err != nil || sum() != 3 {
		t.Fatalf("%d writes: %v", sum(), err)
	}
	proxy.BlackHole(true)
	if err := writeHeartbeat(4, 3+4); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a heartbeat whose reply was lost: %v", err)
	}
	processtest.Eventually(t, "it was stored", func() bool { return sum() == 7 })
	proxy.BlackHole(false)
	processtest.Eventually(t, "the next is stored", func() bool { return writeHeartbeat(4+2, 3+4+2) == nil })
	if got := sum(); got != 9 {
		t.Errorf("%d writes are reported, want 9", got)
	}
	server.Do("HSET", prefix+":{pulses}", "expired", "1700000000000  {}")
	heartbeats, err := direct.Heartbeats(t.Context())
	if err != nil || len(heartbeats) != 1 || string(heartbeats[0].Status) != `{"a b":1}` {
		t.Errorf("heartbeats %+v: %v", heartbeats, err)
	}
}

// A deleted topic that is restored from an old export is in the leaderboard again, though
// its version is older than its deletion.
func TestRestore_DeletedTopicIsListed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix, page := newPrefix(), topic(t, "default/likes/page")
	p := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{TopInterval: 20 * time.Millisecond}}
	store := p.connect(t, catalog(), prefix)
	v := watch(t, store, page)
	like(t, store, page, 1, 2)
	_, old := dump(t, store)
	listed := func() bool {
		newest, err := store.List(t.Context(), tally.Listing{Order: tally.ByNewest})
		top, err2 := store.Top(t.Context(), "default", "likes", 10)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return len(newest.States) == 1 && len(top) == 1 && top[0].Count == 2
	}
	ranked := func() any { return server.Do("ZCARD", prefix+":top:{default/likes}") }
	processtest.Eventually(t, "it is listed", listed)
	like(t, store, page, 3)
	ended := edit(t, store, tally.Edit{Topic: page, Kind: tally.EditDelete}).Before
	processtest.Eventually(t, "it is not listed any more", func() bool { return !listed() && ranked() == int64(0) })
	v.waitFor(t, store, page, 0)
	server.Do("DEL", prefix+":{default/likes/page}:ended") // an hour later
	if err := store.Restore(t.Context(), false, old); err != nil {
		t.Fatal(err)
	}
	processtest.Eventually(t, "it is listed again", listed)
	store.Watch(page) // as the sweep does within a minute
	v.waitFor(t, store, page, 2)
	if got := v.shown(page); got.Version <= ended.Version {
		t.Errorf("the viewer holds version %d after %d", got.Version, ended.Version)
	}
}

// Journals are read in pipelines, not with a round trip each.
func TestJournal_RoundTrips(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := storeConfig{server: server, url: server.URL(0), options: redisstore.Options{Journal: 24 * time.Hour}}.connect(t, catalog(), newPrefix())
	const topics = 200
	for i := range topics {
		like(t, store, topic(t, fmt.Sprintf("default/likes/%d", i)), 1)
	}
	reads := func() (n int) {
		for line := range strings.Lines(fmt.Sprint(server.Do("info", "stats"))) {
			if text, ok := strings.CutPrefix(line, "total_reads_processed:"); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(text))
			}
		}
		return n
	}
	before, entries := reads(), 0
	err := store.Journal(t.Context(), tally.Scope{}, 0, math.MaxInt64, func(some []tally.JournalEntry) error {
		entries += len(some)
		return nil
	})
	if took := reads() - before; err != nil || entries != topics || before == 0 || took > topics/10 {
		t.Errorf("%d entries of %d journals, error %v, in %d round trips", entries, topics, err, took)
	}
}
