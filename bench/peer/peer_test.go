package peer

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/bench/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each peer starts, accepts likes, and shows the last count to viewers on each transport.
func TestPeers_LikesReachViewers(t *testing.T) {
	for _, p := range append(All(), TallycastLimited(), TallycastSQLite()) {
		t.Run(p.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := p.Start(ctx, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			if p.Settings == "" {
				t.Error("it has no description of its settings")
			}
			likers, err := s.Likers(load.Concurrency{Loops: 8, Addresses: 500})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = likers.Close() }) // the server is ending
			for _, transport := range p.Transports {
				watch(ctx, t, s, likers, transport)
			}
			// Enough for CPU time to be visible in units of 10 ms.
			if _, err := likers.Run(ctx, load.Job{Topics: 1, For: 20 * time.Second, Count: 2000}); err != nil {
				t.Fatal(err)
			}
			if cpu, err := s.CPU(); err != nil || cpu.Server <= 0 || (s.Redis != nil) != (cpu.Redis > 0) {
				t.Errorf("CPU %+v, %v", cpu, err)
			}
		})
	}
}

// watch sends two likes and waits until viewers show each.
func watch(ctx context.Context, t *testing.T, s *Server, likers *load.Likers, transport load.Transport) {
	t.Helper()
	a, err := load.NewAudience(load.Plan{Endpoint: s.Endpoint(transport), Viewers: 5, Topics: 1, PerViewer: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := a.Open(ctx); err != nil {
		t.Fatalf("%s: %v", transport, err)
	}
	for range 2 {
		last, err := likers.One(0)
		if err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
		if err := a.Await(ctx, []int64{last.Final()}); err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
	}
	report, err := a.Report(ctx)
	if err != nil || report.Check(2) != nil {
		t.Fatalf("%s: %v, %v", transport, err, report.Check(2))
	}
}
