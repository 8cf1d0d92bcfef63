package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func mustTopic(t testing.TB, metric, key string) tally.Topic {
	t.Helper()
	topic, err := tally.NewTopic(tally.DefaultSite, metric, key)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// week is the default retention of the journal.
const week = 7 * 24 * time.Hour

// BenchmarkApply measures durable likes: one per transaction, many of one topic, and many
// of different topics.
func BenchmarkApply(b *testing.B) {
	for _, shape := range []struct {
		name          string
		topics, likes int // topics in a transaction, likes on each
		journal       time.Duration
	}{
		{"alone", 1, 1, 0},
		{"alone, with a journal", 1, 1, week},
		{"64 on one topic", 1, 64, 0},
		{"64 on one topic, with a journal", 1, 64, week},
		{"64 topics", 64, 1, 0},
		{"64 topics, with a journal", 64, 1, week},
		{"512 on one topic", 1, 512, 0},
		{"512 on one topic, with a journal", 1, 512, week},
	} {
		b.Run(shape.name, func(b *testing.B) {
			store := open(b, filepath.Join(b.TempDir(), "tally.db"), catalog(), sqlitestore.Options{Journal: shape.journal})
			batches := make([]tally.Batch, shape.topics)
			for i := range batches {
				batches[i] = tally.Batch{Topic: mustTopic(b, "likes", fmt.Sprint("page-", i)), Writes: make([]tally.Write, shape.likes)}
			}
			var member uint64
			likes := 0
			for b.Loop() {
				for i := range batches {
					for j := range batches[i].Writes {
						member++
						batches[i].Writes[j] = tally.Write{
							Member: tally.Member(member * 0x9e3779b97f4a7c15), Source: tally.Source(member % 1000), Amount: 1, MayCreate: true,
						}
						likes++
					}
				}
				store.Apply(context.Background(), batches)
				if batches[0].Err != nil {
					b.Fatal(batches[0].Err)
				}
			}
			b.ReportMetric(float64(likes)/b.Elapsed().Seconds(), "likes/s")
		})
	}
}

// BenchmarkRead measures reads of several numbers of topics.
func BenchmarkRead(b *testing.B) {
	store := open(b, filepath.Join(b.TempDir(), "tally.db"), catalog(), sqlitestore.Options{})
	queries := make([]tally.Query, 1000)
	for i := range queries {
		topic := mustTopic(b, "likes", fmt.Sprint("page-", i))
		batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
		store.Apply(context.Background(), batches)
		queries[i] = tally.Query{Topic: topic, Member: 1}
	}
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n, " topics"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := store.Read(context.Background(), queries[:n]); got[n-1].Err != nil || got[n-1].Mine != 1 {
					b.Fatal(got[n-1])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/topic")
		})
	}
}

// BenchmarkMove measures Restore and Dump.
func BenchmarkMove(b *testing.B) {
	const portions = 100
	topic := mustTopic(b, "likes", "page")
	portion := func(i int) tally.Portion {
		p := tally.Portion{First: i == 0, Last: i == portions-1, Contributions: make([]tally.Contribution, tally.MaxPortion)}
		p.Topic, p.Version = topic, 1
		for j := range p.Contributions {
			// Members are in order, as in a dump.
			p.Contributions[j] = tally.Contribution{Member: tally.Member((i*tally.MaxPortion + j + 1) << 40), Amount: 1}
		}
		return p
	}
	restored := func(b *testing.B) *sqlitestore.Store {
		store := open(b, filepath.Join(b.TempDir(), "tally.db"), catalog(), sqlitestore.Options{})
		for i := range portions {
			if err := store.Restore(context.Background(), true, []tally.Portion{portion(i)}); err != nil {
				b.Fatal(err)
			}
		}
		return store
	}
	rate := func(b *testing.B) {
		b.ReportMetric(float64(b.N*portions*tally.MaxPortion)/b.Elapsed().Seconds(), "contributions/s")
	}
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			restored(b)
		}
		rate(b)
	})
	b.Run("dump", func(b *testing.B) {
		store := restored(b)
		b.ReportAllocs()
		for b.Loop() {
			if err := store.Dump(context.Background(), tally.Scope{}, func(tally.Portion) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		rate(b)
	})
}
