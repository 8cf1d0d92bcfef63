package owner_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// scenario is a week on one site.
type scenario struct {
	name string
	// fill adds the contributions.
	fill func(w *week)
	// attacked are the keys of topics that are to be listed; the others are genuine.
	attacked []string
}

// The thresholds of detector.go were chosen by the first five scenarios and judged by the
// others.
var scenarios = []scenario{
	{"front-page", func(w *week) { // a blog on the front page of a news site: 3,000 networks in 6 hours
		w.readers("old", 7*day, 0, 70)
		for network := range 3000 {
			at := minutesBefore(6*time.Hour, 0, w.random)
			n := 1 // some networks have several readers
			switch draw := w.random.IntN(100); {
			case draw < 5:
				n = 3 + w.random.IntN(8)
			case draw < 20:
				n = 2
			}
			for range n {
				w.add("new", at-w.random.IntN(at+1), 1000+network)
			}
		}
	}, nil},
	{"class", func(w *week) { // 30 people in one room
		w.readers("lesson", 7*day, 0, 20)
		for range 30 {
			w.add("lesson", 100+w.random.IntN(2), 7)
		}
	}, nil},
	{"slow-bot", func(w *week) { // 15 an hour from one network, for a day
		w.readers("post", 7*day, 0, 70)
		for i := range 24 * 15 {
			w.add("post", i*4, 7)
		}
	}, []string{"post"}},
	{"botnet", func(w *week) { // 500 networks, 4,000 contributions in 40 minutes
		w.readers("post", 7*day, 0, 200)
		for range 4000 {
			w.add("post", 200+w.random.IntN(40), 1000+w.random.IntN(500))
		}
	}, []string{"post"}},
	{"first-day", func(w *week) { // a new site: the owner tries it, then readers of a newsletter come
		for i := range 20 {
			w.add("hello", 20*60-i, 7)
		}
		for range 400 {
			w.add("hello", w.random.IntN(18*60), 1000+w.random.IntN(600))
		}
	}, nil},

	{"rhythm", func(w *week) { // 12 topics with a busy day and a quiet night
		for minute := range 7 * 24 * 60 {
			hour := minute / 60 % 24
			rate := 0.02
			if hour >= 8 && hour < 22 {
				rate = 0.5
			}
			if w.random.Float64() < rate {
				w.add(fmt.Sprint("topic-", w.random.IntN(12)), minute, 1000+w.random.IntN(900))
			}
		}
	}, nil},
	{"live-event", func(w *week) { // half of 600 voters come from 12 networks of mobile operators
		w.readers("event", 7*day, 0, 30)
		for i := range 600 {
			network := 1000 + i
			if i%2 == 0 {
				network = w.random.IntN(12)
			}
			w.add("event", 60+w.random.IntN(20), network)
		}
	}, nil},
	{"intranet", func(w *week) { // one network; each day an announcement gets 80 to 130 in an hour
		for n := range 7 {
			for range 80 + w.random.IntN(50) {
				w.add(fmt.Sprint("announcement-", n), n*24*60+120+w.random.IntN(60), 7)
			}
		}
	}, nil},
	{"data-centre", func(w *week) { // 300 contributions in 3 minutes from 5 networks
		w.readers("post", 7*day, 0, 280)
		for range 300 {
			w.add("post", 30+w.random.IntN(3), w.random.IntN(5))
		}
	}, []string{"post"}},
	{"many-topics", func(w *week) { // one network, 60 contributions to each of five topics in an hour
		for n := range 10 {
			key := fmt.Sprint("post-", n)
			w.readers(key, 7*day, 0, 50)
			for range 60 * (n % 2) {
				w.add(key, 70+w.random.IntN(50), 7)
			}
		}
	}, []string{"post-1", "post-3", "post-5", "post-7", "post-9"}},
}

const day = 24 * time.Hour

// week collects the contributions of a scenario by minutes before its end.
type week struct {
	random *rand.Rand
	site   string
	all    map[int][]entry // by hours, the last day by five minutes
	member tally.Member
}

type entry struct {
	topic  tally.Topic
	member tally.Member
	source tally.Source
}

func (w *week) add(key string, minutesBefore, network int) {
	step := 5 // each step of the clock costs a batch
	if minutesBefore > 24*60 {
		step = 60
	}
	minutesBefore -= minutesBefore % step
	w.member++
	w.all[minutesBefore] = append(w.all[minutesBefore], entry{topic(w.site + "/likes/" + key), w.member, tally.Source(network + 1)})
}

// readers adds n contributions, mostly of different networks.
func (w *week) readers(key string, from, to time.Duration, n int) {
	for range n {
		w.add(key, minutesBefore(from, to, w.random), 10_000+w.random.IntN(100_000))
	}
}

func minutesBefore(from, to time.Duration, random *rand.Rand) int {
	return int(to/time.Minute) + random.IntN(int((from-to)/time.Minute))
}

// clockedStore is a store whose clock the test sets.
type clockedStore struct {
	fullStore
	setClock func(ahead time.Duration)
}

func scenarioCatalog() *tally.Catalog {
	var sites []string
	for _, s := range scenarios {
		sites = append(sites, s.name)
	}
	return tally.NewCatalog(sites, tally.DefaultMetrics())
}

func openClocked(t *testing.T, kind string) clockedStore {
	if kind == "SQLite" {
		var ahead atomic.Int64
		store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), scenarioCatalog(), sqlitestore.Options{
			Journal: journal, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return clockedStore{store, func(d time.Duration) { ahead.Store(int64(d)) }}
	}
	server := redistest.Start(t, redistest.Options{Clock: true})
	store, err := redisstore.Open(server.URL(0), scenarioCatalog(), redisstore.Options{Journal: journal, Timeout: testTimeout, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return clockedStore{store, server.SetClock}
}

// apply applies the entries of one moment.
func (s clockedStore) apply(t *testing.T, entries []entry) {
	byTopic := map[tally.Topic][]tally.Write{}
	for _, e := range entries {
		byTopic[e.topic] = append(byTopic[e.topic], tally.Write{Member: e.member, Source: e.source, Amount: 1, MayCreate: true})
	}
	var batches []tally.Batch
	for topic, writes := range byTopic {
		for some := range slices.Chunk(writes, tally.MaxBatchWrites) {
			batches = append(batches, tally.Batch{Topic: topic, Writes: some})
		}
	}
	for end := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) {
		// No step of the clock exceeds this deadline. Redis uses the journal of the day of the
		// deadline.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		s.Apply(ctx, batches)
		cancel()
		failed := slices.IndexFunc(batches, func(b tally.Batch) bool { return b.Err != nil })
		if failed < 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal(batches[failed].Err)
		}
	}
}

// Attacks are listed, and nothing else.
func TestSpikes_Scenarios(t *testing.T) {
	t.Parallel()
	all := map[int][]entry{}
	for i, s := range scenarios {
		w := &week{random: rand.New(rand.NewPCG(14, uint64(i))), site: s.name, all: map[int][]entry{}}
		s.fill(w)
		for minute, entries := range w.all {
			all[minute] = append(all[minute], entries...)
		}
	}
	for _, kind := range []string{"SQLite", "Redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			store := openClocked(t, kind)
			for _, minute := range slices.Backward(slices.Sorted(maps.Keys(all))) {
				store.setClock(7*day - time.Duration(minute)*time.Minute)
				store.apply(t, all[minute])
			}
			o := openWith(store, owner.Options{JournalRetention: journal, Now: func() time.Time { return time.Now().Add(7 * day) }})
			for _, s := range scenarios {
				spikes, err := o.Spikes(t.Context(), tally.Scope{Site: s.name}, day)
				if err != nil {
					t.Fatal(err)
				}
				listed := []string{}
				for _, spike := range spikes {
					listed = append(listed, spike.Topic.Key())
					t.Logf("%s: %s: %d from %d networks in %s, %s to %s; usual %d, on the site %d", s.name, spike.Topic.Key(), spike.Contributions,
						spike.Networks, spike.Period, spike.From.Format(time.TimeOnly), spike.To.Format(time.TimeOnly), spike.Usual, spike.SiteUsual)
				}
				slices.Sort(listed)
				if !slices.Equal(listed, append([]string{}, s.attacked...)) {
					t.Errorf("%s: listed %q, want %q", s.name, listed, s.attacked)
				}
			}
		})
	}
}
