package redisstore

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// revertFixture is a store whose clock can be set, with one topic.
type revertFixture struct {
	*Store
	server *redistest.Server
	topic  tally.Topic
}

func newRevertFixture(t *testing.T, metric string) *revertFixture {
	server := redistest.Start(t, redistest.Options{Clock: true})
	f := &revertFixture{server: server}
	f.Store = f.open(t)
	topic, err := tally.NewTopic(tally.DefaultSite, metric, "page")
	if err != nil {
		t.Fatal(err)
	}
	f.topic = topic
	return f
}

// open opens another store on the same Redis.
func (f *revertFixture) open(t *testing.T) *Store {
	t.Helper()
	return openAt(t, f.server.URL(0))
}

// testTimeout bounds operations of stores in tests that do not test timeouts.
const testTimeout = processtest.Timeout

// openAt opens a store until the test ends.
func openAt(t *testing.T, url string) *Store {
	t.Helper()
	store, err := Open(url, tally.NewCatalog(nil, tally.DefaultMetrics()),
		Options{Journal: 7 * 24 * time.Hour, History: 30 * 24 * time.Hour, Timeout: testTimeout, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func (f *revertFixture) assert(t *testing.T, source tally.Source, member tally.Member, amount int64) {
	t.Helper()
	for end := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) {
		batches := []tally.Batch{{Topic: f.topic, Writes: []tally.Write{{Member: member, Source: source, Amount: amount, MayCreate: true}}}}
		f.Apply(context.Background(), batches)
		if batches[0].Err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(batches[0].Err) // until the store has the new time
		}
	}
}

func (f *revertFixture) entries(t *testing.T, source tally.Source) (some []tally.JournalEntry) {
	t.Helper()
	err := f.Journal(context.Background(), tally.ScopeOf(f.topic), 0, 1<<40, func(entries []tally.JournalEntry) error {
		for _, entry := range entries {
			if entry.Source == source {
				some = append(some, entry)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return some
}

// inspectAll prepares the revert of all entries of a source, whose journals it reads.
func (f *revertFixture) inspectAll(t *testing.T, source tally.Source) (run *revertRun, parts []*revertPart) {
	t.Helper()
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run = &revertRun{Store: f.Store, began: time.Now(), minute: now, mode: tally.RevertPast}
	reverts, err := run.byTopic(f.entries(t, source))
	if err != nil || len(reverts) != 1 {
		t.Fatal(len(reverts), err)
	}
	if err := run.inspect(t.Context(), reverts); err != nil {
		t.Fatal(err)
	}
	if parts, err = run.inspectedParts(t.Context(), reverts[0]); err != nil {
		t.Fatal(err)
	}
	return run, parts
}

func (f *revertFixture) wants(t *testing.T, count int64, mine map[tally.Member]int64) {
	t.Helper()
	for member, want := range mine {
		reading := f.Read(context.Background(), []tally.Query{{Topic: f.topic, Member: member}})[0]
		if reading.Err != nil || reading.Mine != want || reading.Change.Count != count {
			t.Errorf("member %d: %+v, want %d of %d", member, reading, want, count)
		}
	}
}

// A newer entry of a later day protects a contribution, also if that entry is not selected.
func TestRevert_NewestEntryOfLaterDay(t *testing.T) {
	t.Parallel()
	for _, metric := range []string{"likes", "claps"} {
		f := newRevertFixture(t, metric)
		f.assert(t, 7, 1, 1)
		f.assert(t, 7, 2, 1)
		f.assert(t, 8, 3, 1)
		f.server.SetClock(25 * time.Hour)
		f.assert(t, 8, 1, 0)
		f.assert(t, 8, 1, 1)
		f.assert(t, 7, 3, 0)
		f.assert(t, 7, 3, 1)
		spike := f.entries(t, 7)
		if len(spike) != 3 || spike[0].Minute >= spike[2].Minute-60 {
			t.Fatalf("%s: the journal is %v", metric, spike)
		}
		first, _, err := f.Revert(t.Context(), spike[:2], tally.RevertPast)
		if err != nil || len(first) != 1 || first[0] != spike[1] {
			t.Errorf("%s: the first day reverted %v, %v", metric, first, err)
		}
		f.wants(t, 2, map[tally.Member]int64{1: 1, 2: 0, 3: 1})
		second, _, err := f.Revert(t.Context(), spike, tally.RevertPast)
		if err != nil || len(second) != 1 || second[0] != spike[2] {
			t.Errorf("%s: both days reverted %v, %v", metric, second, err)
		}
		f.wants(t, 1, map[tally.Member]int64{1: 1, 2: 0, 3: 0})
	}
}

// Entries between the read and the script are newer, in the same journal and in a new one.
func TestRevert_EntryAfterReading(t *testing.T) {
	t.Parallel()
	for _, metric := range []string{"likes", "claps"} {
		f := newRevertFixture(t, metric)
		for member := range tally.Member(4) {
			f.assert(t, 7, member+1, 1)
		}
		run, calls := f.inspectAll(t, 7)
		f.assert(t, 8, 1, 0)
		f.assert(t, 8, 1, 1)
		f.server.SetClock(24 * time.Hour)
		f.assert(t, 8, 2, 0)
		f.assert(t, 8, 2, 1)
		if err := run.call(t.Context(), slices.Values(calls)); err != nil {
			t.Fatal(err)
		}
		f.wants(t, 2, map[tally.Member]int64{1: 1, 2: 1, 3: 0, 4: 0})
		if left := f.entries(t, 7); len(left) > 0 {
			t.Errorf("%s: left %v", metric, left)
		}
	}
}

// The clock of Redis is set to the next day, whose journal the prepared calls do not read: they
// revert nothing.
func TestRevert_NextDayAfterPreparation(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.assert(t, 7, 1, 1)
	entries := f.entries(t, 7)
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := &revertRun{Store: f.Store, began: time.Now(), minute: now - now%minutesADay, mode: tally.RevertPast}
	reverts, err := run.byTopic(entries)
	if err != nil || len(reverts) != 1 {
		t.Fatal(len(reverts), err)
	}
	c := run.wholePart(reverts[0])
	if len(c.journals) != 1 {
		t.Fatalf("at midnight, a call reads the journals of %v", c.journals)
	}
	f.server.SetClock(24 * time.Hour)
	f.assert(t, 8, 1, 0)
	f.assert(t, 8, 1, 1)
	if err := run.call(t.Context(), slices.Values([]*revertPart{c})); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("a call that does not read the journal of the day: error %v", err)
	}
	f.wants(t, 1, map[tally.Member]int64{1: 1})
	reverted, _, err := f.Revert(t.Context(), entries, tally.RevertPast)
	if err != nil || len(reverted) > 0 {
		t.Errorf("reverted %v, error %v", reverted, err)
	}
	f.wants(t, 1, map[tally.Member]int64{1: 1})
}

// Shortly before midnight, the first entry of the next day may exist.
func TestRevert_BeforeMidnight(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	r := &topicRevert{topic: f.topic, entries: []revertEntry{{journalPosition: journalPosition{day: 20_000}}}}
	for before, days := range map[int64]int{24 * 60: 1, journalLead + 1: 1, journalLead: 2, 1: 2} {
		run := &revertRun{Store: f.Store, began: time.Now(), minute: 20_001*minutesADay - before}
		c := run.wholePart(r)
		if len(c.journals) != days || c.until < (run.minute+journalLead/2)*time.Minute.Microseconds() {
			t.Errorf("%d minutes before midnight: %+v", before, c)
		}
	}
}

// After a reset, earlier entries revert nothing.
func TestRevert_ResetAfterReading(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.assert(t, 7, 1, 1)
	f.assert(t, 7, 2, 1)
	run, calls := f.inspectAll(t, 7)
	edits := []tally.Edit{{Topic: f.topic, Kind: tally.EditReset}}
	f.Edit(t.Context(), edits)
	if edits[0].Err != nil {
		t.Fatal(edits[0].Err)
	}
	f.assert(t, 7, 1, 1)
	if err := run.call(t.Context(), slices.Values(calls)); err != nil || len(run.changes) > 0 {
		t.Errorf("published %v, %v", run.changes, err)
	}
	f.wants(t, 1, map[tally.Member]int64{1: 1})
}

// A script reads only the end of a journal. A newer entry far behind protects a contribution too.
func TestRevert_LongJournal(t *testing.T) {
	t.Parallel()
	for _, metric := range []string{"likes", "claps"} {
		f := newRevertFixture(t, metric)
		f.assert(t, 7, 1, 1)
		f.assert(t, 7, 2, 1)
		writes := make([]tally.Write, 0, 2*maxTail/journalEntryBytes)
		for i := range cap(writes) {
			writes = append(writes, tally.Write{Member: tally.Member(100 + i), Source: 8, Amount: 1, MayCreate: true})
		}
		for some := range slices.Chunk(writes, tally.MaxBatchWrites) {
			batches := []tally.Batch{{Topic: f.topic, Writes: some}}
			if f.Apply(t.Context(), batches); batches[0].Err != nil {
				t.Fatal(batches[0].Err)
			}
		}
		f.assert(t, 8, 2, 0)
		f.assert(t, 8, 2, 1)
		spike := f.entries(t, 7)
		reverted, _, err := f.Revert(t.Context(), spike, tally.RevertPast)
		if err != nil || len(spike) != 2 || len(reverted) != 1 || reverted[0] != spike[0] {
			t.Errorf("%s: of %v, %v were reverted, error %v", metric, spike, reverted, err)
		}
		f.wants(t, int64(len(writes)+1), map[tally.Member]int64{1: 0, 2: 1, 100: 1})
		if left := f.entries(t, 7); len(left) > 0 {
			t.Errorf("%s: left %v", metric, left)
		}
	}
}

// A script reads the ends of all journals of a topic within the bound of one.
func TestRevert_ManyDays(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.assert(t, 7, 1, 1)
	spike := f.entries(t, 7)
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// As if the journal of the entry was that of an earlier day, and many liked since.
	const days = 3
	today := now / minutesADay
	first := journalPosition{today - days, 0}
	f.server.Do("RENAME", f.names.dayJournal(f.topic, today), f.names.dayJournal(f.topic, first.day))
	for day := first.day + 1; day <= today; day++ {
		f.server.Do("SET", f.names.dayJournal(f.topic, day), strings.Repeat("member..8888day.", maxTail/journalEntryBytes/2))
	}
	run := &revertRun{Store: f.Store, began: time.Now(), minute: now}
	r := &topicRevert{topic: f.topic, entries: []revertEntry{{spike[0], first}}}
	if err := run.call(t.Context(), slices.Values([]*revertPart{run.wholePart(r)})); err != nil || len(run.long) != 1 || len(run.reverted) > 0 {
		t.Errorf("a script read %d journals of half the bound, error %v", days, err)
	}
	if err := run.revertLong(t.Context(), run.long); err != nil || len(run.reverted) != 1 {
		t.Errorf("%d contributions were reverted, error %v", len(run.reverted), err)
	}
}
