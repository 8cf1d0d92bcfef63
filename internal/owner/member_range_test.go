package owner

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

// The ranges contain each entry once, all entries of a member in one range, and at most limit
// entries, unless they have one member.
func TestMemberRange_Partition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		journal := rapid.SliceOf(rapid.Custom(func(t *rapid.T) tally.JournalEntry {
			member := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(1, 4), rapid.Uint64Min(1<<64-3)).Draw(t, "member")
			return tally.JournalEntry{Member: tally.Member(member), Minute: int64(rapid.Uint32().Draw(t, "minute"))}
		})).Draw(t, "journal")
		r := memberRange{limit: rapid.IntRange(1, 6).Draw(t, "limit")}
		seen := map[tally.JournalEntry]int{}
		ranges := map[tally.Member]int{}
		for n := 1; ; n++ {
			for _, entry := range journal {
				r.add(entry)
			}
			members := map[tally.Member]bool{}
			for _, entry := range r.entries {
				seen[entry]++
				members[entry.Member] = true
				if before := ranges[entry.Member]; before != 0 && before != n {
					t.Fatalf("member %d is in ranges %d and %d", entry.Member, before, n)
				}
				ranges[entry.Member] = n
			}
			if len(r.entries) > r.limit && len(members) > 1 {
				t.Fatalf("a range of %d members has %d entries", len(members), len(r.entries))
			}
			if !r.next() {
				break
			}
			if n > len(journal) {
				t.Fatalf("more than %d ranges", n)
			}
		}
		want := map[tally.JournalEntry]int{}
		for _, entry := range journal {
			want[entry]++
		}
		if !maps.Equal(seen, want) {
			t.Fatalf("ranges contain %v, want %v", seen, want)
		}
	})
}
