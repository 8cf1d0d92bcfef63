package redisstore

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// completeDirectories does what a repair does in the end.
func (f *revertFixture) completeDirectories(t *testing.T) {
	t.Helper()
	if !f.flushRanks(f.options.Timeout) || f.setAllNames(t.Context()) != nil {
		t.Fatal("the directories cannot be written")
	}
}

// search returns the topics of the entries from one minute to another.
func (f *revertFixture) search(t *testing.T, from, to int64) (found []tally.Topic) {
	t.Helper()
	err := f.SearchJournal(t.Context(), tally.Scope{}, from, to, func(entries []tally.JournalEntry) error {
		for _, e := range entries {
			found = append(found, e.Topic)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A search looks at the topics that changed, no matter how many others there are.
func TestSearchJournal_Work(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.fillOld(t, 2000)
	const liked, days = 50, 8
	for i := range liked {
		f.topic = numbered(t, "old", 3*i)
		f.assert(t, 7, 2, 1)
	}
	f.completeDirectories(t)
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before, scans := f.server.AllCalls(), f.server.Calls("scan")
	found := f.search(t, now-(days-2)*minutesADay, 1<<40)
	if len(found) != liked {
		t.Errorf("%d of %d entries: %v", len(found), liked, found)
	}
	if used, scans := f.server.AllCalls()-before, f.server.Calls("scan")-scans; scans > 0 || used > days*liked+50 {
		t.Errorf("%d commands, of which %d are SCAN", used, scans)
	}
}

// fillJournals gives n topics an entry in the journal of today.
func (f *revertFixture) fillJournals(t *testing.T, n int) (now int64) {
	t.Helper()
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry := appendEntry(nil, &tally.JournalEntry{Member: 1, Source: 2, Minute: now})
	journals, directory := []any{"MSET"}, []any{"ZADD", f.names.directory("default")}
	for i := range n {
		topic := numbered(t, "page", i)
		journals = append(journals, f.names.dayJournal(topic, now/minutesADay), string(entry))
		directory = append(directory, now*time.Minute.Microseconds()+int64(i), nameOf(topic))
	}
	f.server.Do(journals...)
	f.server.Do(directory...)
	f.completeDirectories(t)
	return now
}

// A search of many topics allocates little for each: it must not keep the garbage collector busy
// while visitors wait.
func TestSearchJournal_Allocations(t *testing.T) { // not parallel: others would be counted
	f := newRevertFixture(t, "likes")
	const topics, most = 3000, 4 // its text and a reply for each of two days; not its position, which others have
	now := f.fillJournals(t, topics)
	var before, after runtime.MemStats
	found := 0
	runtime.ReadMemStats(&before)
	err := f.SearchJournal(t.Context(), tally.Scope{}, now-minutesADay, now, func(entries []tally.JournalEntry) error {
		found += len(entries)
		return nil
	})
	runtime.ReadMemStats(&after)
	if err != nil || found != topics {
		t.Fatalf("%d entries, error %v", found, err)
	}
	if n := float64(after.Mallocs-before.Mallocs) / topics; n > most {
		t.Errorf("%.1f allocations for each topic", n)
	}
}

// A topic that changes during a search is found once.
func TestSearchJournal_Changes(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	now := f.fillJournals(t, listChunk+1)
	found := map[tally.Topic]int{}
	err := f.SearchJournal(t.Context(), tally.Scope{}, now, now, func(entries []tally.JournalEntry) error {
		for i := range 2 { // the first was passed, the last was not
			topic := numbered(t, "page", i*listChunk)
			f.server.Do("ZADD", f.names.directory("default"), (now+1)*time.Minute.Microseconds(), nameOf(topic))
		}
		for _, e := range entries {
			found[e.Topic]++
		}
		return nil
	})
	if err != nil || len(found) != listChunk+1 {
		t.Errorf("%d topics, error %v", len(found), err)
	}
	for topic, n := range found {
		if n != 1 {
			t.Errorf("%s: %d entries", topic, n)
		}
	}
}

// A search scans if the directories may lack topics, or have too many that changed.
func TestSearchJournal_Scan(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(f *revertFixture){
		"names are not complete": func(f *revertFixture) { f.server.Do("ZREM", f.names.topicNames("default"), "") },
		"no directory":           func(f *revertFixture) { f.server.Do("DEL", f.names.directory("default")) },
		"no directories": func(f *revertFixture) {
			f.server.Do("DEL", f.names.directory("default"), f.names.topicNames("default"))
		},
		"a topic lacks": func(f *revertFixture) { f.server.Do("ZREM", f.names.directory("default"), "likes/page") },
		"all changed": func(f *revertFixture) {
			for i := range 100 {
				f.server.Do("ZADD", f.names.directory("default"), time.Now().UnixMicro(), fmt.Sprintf("likes/old-%05d", i))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newRevertFixture(t, "likes")
			f.fillOld(t, 100)
			f.assert(t, 7, 2, 1)
			f.completeDirectories(t)
			before := f.server.Calls("scan") // when it connected
			if found := f.search(t, 0, 1<<40); !slices.Equal(found, []tally.Topic{f.topic}) || f.server.Calls("scan") > before {
				t.Errorf("by the directories: %v", found)
			}
			prepare(f)
			if found := f.search(t, 0, 1<<40); !slices.Equal(found, []tally.Topic{f.topic}) || f.server.Calls("scan") == before {
				t.Errorf("by a scan: %v", found)
			}
		})
	}
}

// An instance was killed before it updated the directories. A revert, which reads the whole
// journal, misses nothing; a search misses the topic until a repair.
func TestSearchJournal_LostUpdate(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.options.Intervals.Repair = time.Millisecond
	f.fillOld(t, 100)
	f.completeDirectories(t)
	f.topic = numbered(t, "old", 50)
	f.assert(t, 7, 2, 1)
	f.ranks.take() // as if it was killed
	if found := f.search(t, 0, 1<<40); len(found) > 0 {
		t.Errorf("the directories have the change: %v", found)
	}
	entries := 0
	err := f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		entries += len(some)
		return nil
	})
	if err != nil || entries != 1 {
		t.Errorf("the journal has %d entries, error %v", entries, err)
	}
	if !f.repairAll(t.Context()) {
		t.Fatal("the repair failed")
	}
	if found := f.search(t, 0, 1<<40); !slices.Equal(found, []tally.Topic{f.topic}) {
		t.Errorf("after a repair: %v", found)
	}
}

// Commands that open a store themselves do not know its sites: they search those that were
// forgotten, too.
func TestSearchJournal_OpenCatalog(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.catalog = tally.NewOpenCatalog(tally.DefaultMetrics())
	topic, err := tally.NewTopic("blog", "likes", "page")
	if err != nil {
		t.Fatal(err)
	}
	f.topic = topic
	f.assert(t, 7, 2, 1)
	f.completeDirectories(t)
	for _, scope := range []tally.Scope{{}, {Site: "blog"}, {Site: "blog", Metric: "likes"}} {
		found := 0
		err := f.SearchJournal(t.Context(), scope, 0, 1<<40, func(entries []tally.JournalEntry) error {
			found += len(entries)
			return nil
		})
		if err != nil || found != 1 {
			t.Errorf("%+v: %d entries, error %v", scope, found, err)
		}
	}
}

// Shortly before midnight an entry is in the journal of the next day.
func TestSearchJournal_Midnight(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.fillOld(t, 100)
	today := time.Now().Unix() / 86400
	minute := today*minutesADay - 1
	version := minute*time.Minute.Microseconds() + 59_000_000
	f.server.Do("SET", f.names.dayJournal(f.topic, today), "12345678"+"9012"+string(binary.BigEndian.AppendUint32(nil, uint32(minute))))
	f.server.Do("HSET", f.names.count(f.topic), "n", 1, "v", version)
	f.changed(tally.Change{Topic: f.topic, Count: 1, Version: version}, false)
	f.completeDirectories(t)
	for from, to := range map[int64]int64{minute: minute, minute - 10: minute + 10} {
		if found := f.search(t, from, to); !slices.Equal(found, []tally.Topic{f.topic}) {
			t.Errorf("from %d to %d: %v", from-minute, to-minute, found)
		}
	}
	if found := f.search(t, minute+1, minute+10); len(found) > 0 {
		t.Errorf("after midnight: %v", found)
	}
}

// In a Cluster topics are on other nodes than the directory.
func TestSearchJournal_Cluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, false)
	store := openAt(t, cluster.URL())
	const topics, liked = 200, 30
	var batches []tally.Batch
	var queries []tally.Query
	var want []int64
	for i := range topics {
		topic := numbered(t, "page", i)
		edit := []tally.Edit{{Topic: topic, Kind: tally.EditSeed, Value: 1}}
		if store.Edit(t.Context(), edit); edit[0].Err != nil {
			t.Fatal(edit[0].Err)
		}
		queries, want = append(queries, tally.Query{Topic: topic, Member: 1}), append(want, 0)
		if i < liked {
			batches = append(batches, tally.Batch{Topic: topic, Writes: []tally.Write{{Member: 1, Source: 7, Amount: 1, MayCreate: true}}})
			want[i] = 1
		}
	}
	for _, b := range batches {
		some := []tally.Batch{b}
		if store.Apply(t.Context(), some); some[0].Err != nil {
			t.Fatal(some[0].Err)
		}
	}
	if !store.flushRanks(store.options.Timeout) || store.setAllNames(t.Context()) != nil {
		t.Fatal("the directories cannot be written")
	}
	scans := 0
	for _, server := range cluster.Primaries {
		scans -= server.Calls("scan")
	}
	found := 0
	err := store.SearchJournal(t.Context(), tally.Scope{Site: tally.DefaultSite}, time.Now().Unix()/60-10, 1<<40, func(some []tally.JournalEntry) error {
		found += len(some)
		return nil
	})
	for _, server := range cluster.Primaries {
		scans += server.Calls("scan")
	}
	if err != nil || found != liked || scans > 0 {
		t.Errorf("%d of %d entries, error %v, with %d scans", found, liked, err, scans)
	}
	if got, err := store.Contributions(t.Context(), queries); err != nil || !slices.Equal(got, want) {
		t.Errorf("contributions %v, error %v", got, err)
	}
}
