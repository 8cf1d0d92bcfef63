package e2e_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func visitor(i int) string { return fmt.Sprintf("visitor-%d", i) }

// stores returns a URL for each kind of store.
func stores(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tally.db"),
		"Redis":  redistest.Start(t, redistest.Options{Hosted: true}).URL(0),
	}
}

// 300 concurrent visitors count as 300.
func TestLikes_ConcurrentVisitors(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--store", store)
			v := s.watch("?topic=default/likes/x")
			v.awaitEvents("live", 1)
			s.likeAll("default/likes/x", 300, 300)
			if c := s.read("default/likes/x"); c.Count != 300 {
				t.Errorf("%+v", c)
			}
			v.awaitCount("default/likes/x", 300)
			v.checkVersions()
		})
	}
}

// Concurrent toggles of one visitor are consistent with the responses.
func TestLikes_ConcurrentToggles(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--store", store)
			var changed atomic.Int64
			each(200, 50, func(i int) {
				a, err := s.try("POST", "/v1/default/likes/x", fmt.Sprintf(`{"visitor":"visitor-1","amount":%d}`, i%2))
				if err != nil || a.status != 200 {
					t.Errorf("%d %v", a.status, err)
					return
				}
				c := a.count()
				if *c.Mine != int64(i%2) {
					t.Errorf("asserted %d, acknowledged as %s", i%2, a.body)
				}
				if *c.Changed {
					changed.Add(1)
				}
			})
			c := s.get("/v1/default/likes/x", "Tally-Visitor: visitor-1").count()
			// Each change toggled the contribution, which began at 0.
			if c.Count != *c.Mine || c.Count != changed.Load()%2 {
				t.Errorf("count %d, mine %d after %d changes", c.Count, *c.Mine, changed.Load())
			}
		})
	}
}

// The count is the sum of the last amounts.
func TestClaps_ConcurrentAmounts(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--store", store)
			each(200, 32, func(i int) {
				for amount := 1; amount <= 4; amount++ { // increasing amounts, one after the other
					if a, err := s.try("POST", "/v1/default/claps/x", fmt.Sprintf(`{"visitor":"%s","amount":%d}`, visitor(i), amount*(i%10+1))); err != nil || a.status != 200 {
						t.Errorf("%d %v", a.status, err)
					}
				}
			})
			want := int64(0)
			for i := range 200 {
				want += int64(4 * (i%10 + 1))
			}
			if c := s.read("default/claps/x"); c.Count != want {
				t.Errorf("%+v, want %d", c, want)
			}
		})
	}
}

// checkStored checks that every acknowledged like is stored, and that the count is the number
// of visitors who like.
func checkStored(t *testing.T, s *service, topic string, acknowledged []bool) {
	t.Helper()
	var sum, kept, lost atomic.Int64
	each(len(acknowledged), 16, func(i int) {
		a, err := s.try("GET", "/v1/"+topic, "", "Tally-Visitor: "+visitor(i))
		if err != nil || a.status != 200 {
			t.Errorf("read of %s: %d %v", visitor(i), a.status, err)
			return
		}
		mine := *a.count().Mine
		sum.Add(mine)
		switch {
		case acknowledged[i] && mine == 1:
			kept.Add(1)
		case acknowledged[i]:
			lost.Add(1)
		}
	})
	if lost.Load() > 0 || kept.Load() == 0 {
		t.Errorf("%d acknowledged likes kept, %d lost", kept.Load(), lost.Load())
	}
	if c := s.read(topic); c.Count != sum.Load() {
		t.Errorf("count %d, but %d visitors like it", c.Count, sum.Load())
	}
	t.Logf("%d acknowledged likes kept, %d of unknown outcome", kept.Load(), sum.Load()-kept.Load())
}
