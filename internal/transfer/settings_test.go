package transfer

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// countingSettings counts the changes of the settings.
type countingSettings struct {
	TargetStore
	swaps int
}

func (s *countingSettings) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	s.swaps++
	return s.TargetStore.SwapSettings(ctx, expected, entries)
}

// An import stores the aliases of many topics at once.
func TestImport_ManyAliases(t *testing.T) {
	const topics = 1200
	header := NewHeader(secret, false, time.Now())
	batch := Batch{}
	for i := range topics {
		name, value := tally.AliasSetting(topic(t, fmt.Sprint("blog/likes/new-", i)), []tally.Topic{topic(t, fmt.Sprint("blog/likes/old-", i))})
		batch.Settings = append(batch.Settings, Setting{Name: name, Value: value})
	}
	store := open(t, secret)
	for attempt := range 2 {
		counting := &countingSettings{TargetStore: store}
		report, err := Import(t.Context(), NewStoreTarget(counting, catalog(), nil), bytes.NewReader(EncodePart(header, batch)), ImportOptions{Part: true})
		if err != nil || report.Settings != topics || counting.swaps > topics/batchLines+1 {
			t.Errorf("attempt %d: %d settings in %d changes, error %v", attempt, report.Settings, counting.swaps, err)
		}
	}
	settings, err := store.Settings(t.Context())
	if n := tally.CountAliases(settings)["blog"]; err != nil || n != topics {
		t.Errorf("%d aliases, error %v", n, err)
	}
}

// largestChange is a store that records the size of its largest change of settings, in bytes.
type largestChange struct {
	*sqlitestore.Store
	bytes int
}

func (s *largestChange) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	size := 0
	for name, value := range entries {
		size += len(name) + len(value)
	}
	s.bytes = max(s.bytes, size)
	return s.Store.SwapSettings(ctx, expected, entries)
}

// A copy bounds the bytes of the settings that it stores at once, as an import does.
func TestCopy_LongAliasLists(t *testing.T) {
	const topics, aliases = 20, 900
	from := open(t, secret)
	for i := range topics {
		var former []tally.Topic
		for n := range aliases {
			former = append(former, topic(t, fmt.Sprintf("blog/likes/%s-%d-%d", strings.Repeat("a", 60), i, n)))
		}
		name, value := tally.AliasSetting(topic(t, fmt.Sprint("blog/likes/new-", i)), former)
		if err := tally.SetSetting(t.Context(), from, name, value); err != nil {
			t.Fatal(err)
		}
	}
	to := &largestChange{Store: open(t, secret)}
	report, err := Copy(t.Context(), from, to, catalog(), CopyOptions{})
	if err != nil || report.Settings != topics || to.bytes > 2*batchSettings {
		t.Errorf("%d settings, at most %d bytes at once, error %v", report.Settings, to.bytes, err)
	}
}
