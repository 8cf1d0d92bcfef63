package tally_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slowStore is a store whose Apply takes a given time, or until its deadline. The
// conformance suite tests the service's use of real stores.
type slowStore struct {
	tally.ServiceStore
	secret []byte
	stored map[string]string // the settings

	mu      sync.Mutex
	delay   time.Duration // of Apply
	mark    string        // of all topics
	sizes   [][]int       // for each call, the number of writes of each batch
	members map[tally.Topic][]tally.Member
}

func newSlowStore(delay time.Duration) *slowStore {
	return &slowStore{secret: []byte("0123456789abcdef"), delay: delay, members: map[tally.Topic][]tally.Member{}}
}

func (s *slowStore) Secret() ([]byte, error) {
	if s.secret == nil {
		return nil, tally.Unavailable(errors.New("never reached"))
	}
	return s.secret, nil
}

func (s *slowStore) Settings(context.Context, ...string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, nil
}

func (s *slowStore) Read(_ context.Context, queries []tally.Query) []tally.Reading {
	return make([]tally.Reading, len(queries))
}

func (s *slowStore) Lane(topic tally.Topic) string { return topic.Site() }

func (s *slowStore) Apply(ctx context.Context, batches []tally.Batch) {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	var err error
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		err = tally.Unavailable(ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var sizes []int
	for i := range batches {
		b := &batches[i]
		sizes = append(sizes, len(b.Writes))
		if b.Err = err; err == nil && b.Mark != s.mark {
			b.Err = &tally.MarkError{Mark: s.mark}
		}
		if b.Err != nil {
			continue
		}
		for j := range b.Writes {
			s.members[b.Topic] = append(s.members[b.Topic], b.Writes[j].Member)
			b.Writes[j].Changed = true
		}
		b.Count = int64(len(s.members[b.Topic]))
		b.Version = b.Count
	}
	s.sizes = append(s.sizes, sizes)
}

func newService(store tally.ServiceStore) *tally.Service {
	return tally.NewService(store, tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics()))
}

func like(service *tally.Service, text, visitor string) (tally.Result, error) {
	topic, err := service.Catalog().Resolve(text)
	if err != nil {
		return tally.Result{}, err
	}
	return service.Assert(context.Background(), tally.Assertion{Topic: topic, Visitor: visitor, Amount: 1, MayCreate: true})
}

func TestService_Batches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(10 * time.Millisecond)
		service := newService(store)
		var writers sync.WaitGroup
		for i := range 1200 {
			writers.Go(func() {
				if _, err := like(service, "blog/likes/hot", fmt.Sprintf("visitor-%d", i)); err != nil {
					t.Error(err)
				}
			})
			if i == 0 {
				synctest.Wait() // until the first round has begun
			}
		}
		writers.Wait()
		if got, want := fmt.Sprint(store.sizes), "[[1] [512] [512] [175]]"; got != want {
			t.Errorf("batches %s, want %s", got, want)
		}
	})
}

func TestService_ManyTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(10 * time.Millisecond)
		service := newService(store)
		var writers sync.WaitGroup
		for i := range 600 {
			writers.Go(func() {
				if _, err := like(service, fmt.Sprintf("blog/likes/page-%d", i), "visitor-1"); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		written := 0
		for _, sizes := range store.sizes {
			if len(sizes) > 256 {
				t.Errorf("a round has %d topics", len(sizes))
			}
			written += len(sizes)
		}
		if written != 600 || len(store.sizes) > 5 {
			t.Errorf("%d topics in %d rounds", written, len(store.sizes))
		}
	})
}

func TestService_HungStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Hour)
		service := newService(store)
		var writers sync.WaitGroup
		for i := range 50 {
			time.Sleep(200 * time.Millisecond) // arrivals spread over 10 s
			writers.Go(func() {
				began := time.Now()
				_, err := like(service, "blog/likes/a", fmt.Sprintf("visitor-%d", i))
				if tally.AsError(err).Code != tally.CodeStoreUnavailable {
					t.Errorf("write %d: %v", i, err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("write %d was answered after %v", i, took)
				}
			})
		}
		writers.Wait()
		store.mu.Lock()
		store.delay = 0
		store.mu.Unlock()
		if _, err := like(service, "blog/likes/a", "visitor-after"); err != nil {
			t.Errorf("after the store resumed: %v", err)
		}
	})
}

func TestService_HungNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Hour)
		service := newService(store)
		var writers sync.WaitGroup
		writers.Go(func() { _, _ = like(service, "blog/likes/a", "visitor-1") })
		synctest.Wait()
		store.mu.Lock()
		store.delay = 0
		store.mu.Unlock()
		began := time.Now()
		if _, err := like(service, "default/likes/a", "visitor-1"); err != nil || time.Since(began) > time.Millisecond {
			t.Errorf("the other lane: %v after %v", err, time.Since(began))
		}
		writers.Wait()
	})
}

func TestService_MembersByTopic(t *testing.T) {
	store := newSlowStore(0)
	service := newService(store)
	for _, text := range []string{"blog/likes/a", "blog/likes/b", "blog/heart/a", "default/likes/a"} {
		for _, visitor := range []string{"visitor-1", "visitor-2", "visitor-1"} {
			if _, err := like(service, text, visitor); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[tally.Member]bool{}
	for topic, members := range store.members {
		if members[0] != members[2] || members[0] == members[1] {
			t.Errorf("%s: members %x", topic, members)
		}
		for _, m := range members[:2] {
			if seen[m] || m == 0 {
				t.Errorf("%s: member %x is that of another topic", topic, m)
			}
			seen[m] = true
		}
	}
}

func TestService_NoSecret(t *testing.T) {
	store := newSlowStore(0)
	store.secret = nil
	service := newService(store)
	if _, err := like(service, "blog/likes/a", "visitor-1"); tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("like: %v", err)
	}
	if len(store.sizes) != 0 {
		t.Error("the service wrote without a secret")
	}
}

func TestService_DerivedVisitor(t *testing.T) {
	service := newService(newSlowStore(0))
	derive := func(address, agent, text string) string {
		t.Helper()
		topic, err := service.Catalog().Resolve(text)
		if err != nil {
			t.Fatal(err)
		}
		id, err := service.DerivedVisitor(netip.MustParseAddr(address), agent, topic)
		if err != nil {
			t.Fatal(err)
		}
		if err := tally.ValidateVisitor(id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	base := derive("192.0.2.1", "curl", "blog/likes/a")
	if base != derive("192.0.2.1", "curl", "blog/likes/b") {
		t.Error("one client has two visitors")
	}
	for _, other := range []string{
		derive("192.0.2.2", "curl", "blog/likes/a"), derive("192.0.2.1", "wget", "blog/likes/a"), derive("192.0.2.1", "curl", "blog/visitors/a"),
	} {
		if other == base {
			t.Error("two clients have the same visitor")
		}
	}
}

// farStore is a store that is far away.
type farStore struct {
	*slowStore
	calls int
	gap   time.Duration
}

func (s farStore) Window(string, int) (int, time.Duration) { return s.calls, s.gap }

// Calls to a far store overlap: as many as the store allows and not more, with its gap between
// two.
func TestService_FarStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const trip, gap, calls = 100 * time.Millisecond, 10 * time.Millisecond, 4
		store := farStore{newSlowStore(trip), calls, gap}
		service := tally.NewService(store, tally.NewCatalog(nil, tally.DefaultMetrics()))
		began := time.Now()
		took := make([]time.Duration, 8)
		var all sync.WaitGroup
		for i := range took {
			time.Sleep(gap)
			all.Go(func() {
				sent := time.Now()
				if _, err := like(service, "default/likes/a", fmt.Sprintf("visitor-%d", i)); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(sent)
			})
		}
		all.Wait()
		for i, d := range took {
			want := trip
			if i >= calls { // it waited until the first call ended
				want += trip - calls*gap
			}
			if d < trip || d > want+gap {
				t.Errorf("like %d took %s, want %s", i, d, want)
			}
		}
		if total := time.Since(began); total > 3*trip {
			t.Errorf("all took %s", total)
		}
	})
}
