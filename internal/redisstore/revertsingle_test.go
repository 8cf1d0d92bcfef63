package redisstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// singleEntryMembers are members of which some occur across the border of two others.
var singleEntryMembers = []tally.Member{1, 1 << 8, 1 << 16, 0x9e3779b97f4a7c15}

// script/part/single_entry.lua leaves in Redis what the parts after it would leave. At any time in a
// random past, a copy of the topic reverts the same entry in a call with another entry that does not
// exist, which single_entry.lua does not take.
func TestRevert_SingleEntryAsOthers(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.ranks.interval, f.gains.interval = time.Hour, time.Hour // leaderboards are not updated meanwhile
	// In the middle of an hour, so that both reverts are in one hour.
	f.server.SetClock(time.Until(time.Now().Truncate(24 * time.Hour).Add(36*time.Hour + 30*time.Minute)))
	f.assert(t, 1, 1, 1) // until the store has the new time
	retention, twin := f.historyRetention, numbered(t, "twin", 0)
	short, all := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		p := singleEntryPast{revertFixture: f, rt: rt, twin: twin}
		p.remove(f.topic)
		f.historyRetention = rapid.SampledFrom([]string{"0", retention}).Draw(rt, "history")
		steps := []func(){
			p.contributeAgain, p.contributePair, p.contribute, p.contributeMany, p.edit,
			func() { p.addTime(-60) }, func() { p.addTime(-24 * 60) }, func() { p.addTime(10) }, // ahead of the clock
		}
		for range rapid.IntRange(4, 20).Draw(rt, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")]()
			if p.listEntries(); len(p.entries) == 0 {
				continue
			}
			p.copyToTwin()
			used, usedByTwin := p.revertBoth()
			if all++; used < usedByTwin {
				short++
			}
		}
	})
	if short < all/20 || short == all {
		t.Errorf("%d of %d reverts took fewer commands than that of the copy", short, all)
	}
}

// singleEntryPast is a topic with a random past, and its copy.
type singleEntryPast struct {
	*revertFixture
	rt      *rapid.T
	twin    tally.Topic
	entries []tally.JournalEntry // which are or were in the journal
}

func (p *singleEntryPast) contribute() {
	source := tally.Source(rapid.Uint32Range(0, 2).Draw(p.rt, "source"))
	p.write(tally.Write{Member: rapid.SampledFrom(singleEntryMembers).Draw(p.rt, "member"), Source: source, Amount: 1, MayCreate: true})
}

// contributePair makes two contributions, of which the first ends with what the second begins with.
func (p *singleEntryPast) contributePair() {
	for _, member := range singleEntryMembers[:2] {
		p.write(tally.Write{Member: member, Source: 1, Amount: 1, MayCreate: true})
	}
}

// contributeAgain contributes, withdraws and contributes again, perhaps a day later.
func (p *singleEntryPast) contributeAgain() {
	member := rapid.SampledFrom(singleEntryMembers).Draw(p.rt, "member")
	p.write(tally.Write{Member: member, Amount: 1, MayCreate: true})
	if rapid.Bool().Draw(p.rt, "later") {
		p.addTime(-24 * 60)
	}
	p.write(tally.Write{Member: member})
	p.write(tally.Write{Member: member, Amount: 1, MayCreate: true})
}

// contributeMany may divide the members into several buckets.
func (p *singleEntryPast) contributeMany() {
	var writes []tally.Write
	for i := range rapid.IntRange(1, 150).Draw(p.rt, "members") {
		writes = append(writes, tally.Write{Member: tally.Member(uint64(i+2) * 0x9e3779b97f4a7c15), Amount: 1, MayCreate: true})
	}
	p.write(writes...)
}

func (p *singleEntryPast) edit() {
	e := []tally.Edit{{
		Topic: p.topic, Value: rapid.Int64Range(0, 3).Draw(p.rt, "value"),
		Kind: rapid.SampledFrom([]tally.EditKind{tally.EditSeed, tally.EditCount, tally.EditReset}).Draw(p.rt, "edit"),
	}}
	if p.Edit(context.Background(), e); e[0].Err != nil {
		p.rt.Fatal(e[0].Err)
	}
}

func (p *singleEntryPast) write(writes ...tally.Write) {
	batches := []tally.Batch{{Topic: p.topic, Writes: writes}}
	if p.Apply(context.Background(), batches); batches[0].Err != nil {
		p.rt.Fatal(batches[0].Err)
	}
}

// addTime adds minutes to the version and to the entries, as if the past was at another time.
// Whole days move the journals.
func (p *singleEntryPast) addTime(minutes int64) {
	if p.server.Do("EXISTS", p.names.count(p.topic)) == int64(0) {
		return
	}
	p.server.Do("HINCRBY", p.names.count(p.topic), "v", minutes*time.Minute.Microseconds())
	for _, key := range p.keys(p.topic) { // the earliest day first
		_, day, ok := p.names.journalTopic(key)
		if !ok {
			continue
		}
		journal := []byte(p.server.Do("GET", key).(string))
		for at := 12; at < len(journal); at += journalEntryBytes {
			if minute := binary.BigEndian.Uint32(journal[at:]); minute > 0 { // 0 is an erased entry
				binary.BigEndian.PutUint32(journal[at:], uint32(int64(minute)+minutes))
			}
		}
		p.server.Do("SET", key, journal, "KEEPTTL")
		if days := minutes / minutesADay; days != 0 {
			p.server.Do("RENAME", key, p.names.dayJournal(p.topic, day+days))
		}
	}
}

// keys returns the keys of a topic in order.
func (p *singleEntryPast) keys(topic tally.Topic) (keys []string) {
	for _, key := range p.server.Do("KEYS", p.names.tagged(topic.String(), "*")).([]any) {
		keys = append(keys, key.(string))
	}
	slices.Sort(keys)
	return keys
}

// listEntries sets p.entries to the present entries and some that were present, the newest first,
// since rapid prefers the first.
func (p *singleEntryPast) listEntries() {
	before := p.entries[:min(len(p.entries), 3)]
	p.entries = nil
	err := p.Journal(context.Background(), tally.ScopeOf(p.topic), 0, 1<<40, func(entries []tally.JournalEntry) error {
		p.entries = append(p.entries, entries...)
		return nil
	})
	if err != nil {
		p.rt.Fatal(err)
	}
	slices.Reverse(p.entries)
	p.entries = append(p.entries, before...)
}

// remove removes the keys of a topic.
func (p *singleEntryPast) remove(topic tally.Topic) {
	for _, key := range p.keys(topic) {
		p.server.Do("DEL", key)
	}
}

func (p *singleEntryPast) copyToTwin() {
	p.remove(p.twin)
	for _, key := range p.keys(p.topic) {
		p.server.Do("COPY", key, strings.Replace(key, p.topic.String(), p.twin.String(), 1))
	}
}

// revertBoth reverts one entry of the topic and of its copy, compares the results, and returns how
// many commands Redis ran for each.
func (p *singleEntryPast) revertBoth() (used, usedByTwin int) {
	entry := rapid.SampledFrom(p.entries).Draw(p.rt, "entry")
	mode := rapid.SampledFrom([]tally.RevertMode{tally.RevertPast, tally.RevertPresent}).Draw(p.rt, "mode")
	day, _, _ := strings.Cut(entry.Position, ":")
	same, missing := entry, entry
	same.Topic, missing.Topic = p.twin, p.twin
	missing.Position = day + ":" + strconv.Itoa(1000*maxTail)
	before := p.server.AllCalls()
	reverted, changes := p.revert(mode, entry)
	between := p.server.AllCalls()
	revertedTwin, changesTwin := p.revert(mode, same, missing)
	after := p.server.AllCalls()
	if len(reverted) != len(revertedTwin) || len(changes) != len(changesTwin) {
		p.rt.Fatalf("%v: reverted %v with %v, the copy %v with %v", entry, reverted, changes, revertedTwin, changesTwin)
	}
	for i := range changes {
		if changes[i].Count != changesTwin[i].Count {
			p.rt.Fatalf("%v: %v, of the copy %v", entry, changes[i], changesTwin[i])
		}
	}
	state, twinState := p.state(p.topic, changes), p.state(p.twin, changesTwin)
	if !maps.Equal(state, twinState) {
		p.rt.Fatalf("%v: the keys are\n%q, those of the copy\n%q", entry, state, twinState)
	}
	return between - before, after - between
}

func (p *singleEntryPast) revert(mode tally.RevertMode, entries ...tally.JournalEntry) ([]tally.JournalEntry, []tally.Change) {
	reverted, changes, err := p.Revert(context.Background(), entries, mode)
	if err != nil {
		p.rt.Fatal(err)
	}
	return reverted, changes
}

// state returns the keys of a topic without its name, with all that Redis has of them except the
// version, since two changes are at different times: that is the version of the last of changes.
func (p *singleEntryPast) state(topic tally.Topic, changes []tally.Change) map[string]string {
	state := map[string]string{}
	for _, key := range p.keys(topic) {
		expires := p.server.Do("PTTL", key).(int64) > 0
		name := strings.Replace(key, topic.String(), "", 1)
		if p.server.Do("TYPE", key) == "string" {
			state[name] = fmt.Sprintf("%t %x", expires, p.server.Do("GET", key))
			continue
		}
		fields, err := p.client.HGetAll(context.Background(), key).Result()
		if err != nil {
			p.rt.Fatal(err)
		}
		if key == p.names.count(topic) {
			for _, change := range changes { // one or none
				if version := strconv.FormatInt(change.Version, 10); fields["v"] != version {
					p.rt.Fatalf("%s has the version %s after the change %s", topic, fields["v"], version)
				}
			}
			delete(fields, "v")
		}
		state[name] = fmt.Sprintf("%t %q", expires, fmt.Sprint(fields)) // in the order of the names
	}
	return state
}
