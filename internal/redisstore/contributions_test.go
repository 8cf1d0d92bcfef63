package redisstore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// fillOld stores topics that changed long ago, each with a contribution of member 1.
func (f *revertFixture) fillOld(t *testing.T, n int) {
	t.Helper()
	portions := make([]tally.Portion, n)
	for i := range portions {
		state := tally.State{Change: tally.Change{Topic: numbered(t, "old", i), Count: 1, Version: int64(1 + i)}}
		portions[i] = tally.Portion{State: state, Contributions: []tally.Contribution{{Member: 1, Amount: 1}}, First: true, Last: true}
		portions[i].Sum = portions[i].State.Sum()
	}
	for chunk := range slices.Chunk(portions, 100) { // within the deadline, also on a busy machine
		if err := f.Restore(t.Context(), false, chunk); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(t *testing.T, name string, i int) tally.Topic {
	t.Helper()
	topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprintf("%s-%05d", name, i))
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// A topic costs one command, or two if its members are divided.
func TestContributions(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.fillOld(t, 1000)
	var queries []tally.Query
	for i := range 1000 {
		queries = append(queries, tally.Query{Topic: numbered(t, "old", i), Member: tally.Member(1 + i%2)})
	}
	var want []int64
	for i := range queries {
		want = append(want, int64(1-i%2))
	}
	for metric, amount := range map[string]int64{"likes": 1, "claps": 5, "rating": 3, "visitors": 1} {
		topic, err := tally.NewTopic(tally.DefaultSite, metric, "many")
		if err != nil {
			t.Fatal(err)
		}
		b := tally.Batch{Topic: topic}
		for i := range tally.Member(1000) {
			b.Writes = append(b.Writes, tally.Write{Member: (i + 1) * 0x9e3779b97f4a7c15, Amount: amount, MayCreate: true})
		}
		batches := []tally.Batch{b}
		if f.Apply(t.Context(), batches); batches[0].Err != nil {
			t.Fatal(batches[0].Err)
		}
		for i := range tally.Member(10) {
			queries = append(queries, tally.Query{Topic: topic, Member: (100*i + 1) * 0x9e3779b97f4a7c15}, tally.Query{Topic: topic, Member: i + 1})
			want = append(want, amount, 0)
		}
	}
	f.flushRanks(f.options.Timeout) // else it could run meanwhile
	before := f.server.AllCalls()
	got, err := f.Contributions(t.Context(), queries)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, error %v, want %v", got, err, want)
	}
	if used := f.server.AllCalls() - before; used > len(queries)+3*20+5 { // and those of other rules
		t.Errorf("%d commands for %d queries", used, len(queries))
	}
	f.server.Do("SET", f.names.members(queries[0].Topic), "text")
	if _, err := f.Contributions(t.Context(), queries); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("error %v for a topic that cannot be read", err)
	}
}
