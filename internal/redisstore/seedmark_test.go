package redisstore_test

import (
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// The seed mark only rises, in any order of instances, until Redis loses it.
func TestSeedMark(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	p := storeConfig{server: server, url: server.URL(0)}
	prefix := newPrefix()
	first, second := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	wants := func(want int64) {
		t.Helper()
		if got, err := second.SeedMark(t.Context()); err != nil || got != want {
			t.Errorf("the mark is %d, %v; want %d", got, err, want)
		}
	}
	wants(0)
	for _, mark := range []int64{1790000000000001, 1790000000000003, 1790000000000002} {
		if err := first.SetSeedMark(t.Context(), mark); err != nil {
			t.Error(err)
		}
	}
	wants(1790000000000003)
	server.Do("flushall")
	wants(0)
}
