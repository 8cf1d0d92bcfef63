package transfer

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

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
