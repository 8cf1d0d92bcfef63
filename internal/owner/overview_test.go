package owner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// The overview shows the instances, the writes and the usage of sites, on every instance.
func TestOverview_AllInstances(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		stores := []fullStore{w.first, w.second}
		if w.first == w.second {
			stores = stores[:1]
		}
		var offices []*office
		for i, store := range stores {
			o := openWith(store, owner.Options{Status: func() owner.InstanceStatus { return owner.InstanceStatus{Viewers: int64(i)} }})
			offices = append(offices, o)
			for n := range 3 {
				o.like(t, newTopic("likes"), visitor(n))
			}
			defer run(t, o)()
		}
		total := 3 * int64(len(offices))
		last := offices[len(offices)-1]
		eventually(t, "instances, writes and usage are shown", func() bool {
			seen := last.Overview(t.Context())
			writes, topics := int64(0), int64(0)
			for _, a := range seen.Activity {
				writes += a.Writes
			}
			for _, u := range seen.Usage {
				topics += u.Topics
			}
			viewers := map[int64]bool{}
			for _, text := range seen.Instances {
				var status owner.InstanceStatus
				if err := json.Unmarshal(text, &status); err != nil {
					t.Fatal(err)
				}
				viewers[status.Viewers] = true
			}
			return len(seen.Instances) == len(offices) && len(viewers) == len(offices) && writes == total && topics == total &&
				seen.Store == owner.StoreHealth{Reached: true}
		})
		samples := map[string]float64{}
		for _, sample := range last.Metrics() {
			samples[sample.Name+"{"+sample.LabelValue+"}"] = sample.Value
		}
		if samples["site_topics{blog}"] != float64(total) || samples["site_contributions{blog}"] != float64(total) || samples["site_bytes{blog}"] <= 0 {
			t.Errorf("metrics: %v", samples)
		}
	})
}

func TestTopicsThatNobodyTouchedArePruned(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx, o := t.Context(), open(w.first)
		old, fresh, elsewhere := newTopic("likes"), newTopic("likes"), topic("docs/likes/old")
		o.like(t, old, visitor(1))
		o.like(t, elsewhere, visitor(1))
		o.like(t, fresh, visitor(1))
		since := time.UnixMicro(o.state(t, fresh).Version)
		blog := tally.Scope{Site: "blog"}
		would, err := o.Prune(ctx, "test", blog, since, true)
		if err != nil || len(would) != 1 || would[0].Topic != old || would[0].Count != 1 {
			t.Fatalf("would prune %+v, %v", would, err)
		}
		o.counts(t, old, 1)
		if gone, err := o.Prune(ctx, "test", blog, since, false); err != nil || len(gone) != 1 || gone[0].Topic != old || gone[0].Count != 1 {
			t.Fatalf("pruned %+v, %v", gone, err)
		}
		o.counts(t, old, 0)
		o.counts(t, fresh, 1)
		o.counts(t, elsewhere, 1)
		for name, err := range map[string]error{
			"everything":             func() error { _, err := o.Prune(ctx, "test", tally.Scope{}, since, false); return err }(),
			"no time":                func() error { _, err := o.Prune(ctx, "test", blog, time.Time{}, false); return err }(),
			"a time that is to come": func() error { _, err := o.Prune(ctx, "test", blog, time.Now().Add(time.Hour), false); return err }(),
		} {
			if code(err) != tally.CodeBadBody {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestEditsAreAuditedAndThoseOfPresenceRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx, o := t.Context(), open(w.first)
		page := newTopic("likes")
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditCount, Value: 12})
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditCount, Value: 12}) // changes nothing
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditSeed, Value: 5})
		o.edit(t, tally.Edit{Topic: page, Kind: tally.EditDelete})
		err := o.Edit(ctx, "test", []tally.Edit{{Topic: topic("blog/readers/x"), Kind: tally.EditCount, Value: 1}})
		if code(err) != tally.CodeReadOnlyMetric {
			t.Errorf("presence was set: %v", err)
		}
		if err := o.Edit(ctx, "test", []tally.Edit{{Topic: page, Kind: tally.EditCount, Value: -1}}); code(err) != tally.CodeBadAmount {
			t.Errorf("a count below 0: %v", err)
		}
		entries, _, err := o.AuditLog(ctx, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range entries {
			told = append(told, e.Actor+" "+e.Action+" "+e.Target+" "+e.Detail)
		}
		want := "test delete " + page.String() + " count 17 → 0\n" +
			"test seed " + page.String() + " count 12 → 17, seed 0 → 5\n" +
			"test set " + page.String() + " count 0 → 12"
		if got := strings.Join(told, "\n"); got != want {
			t.Errorf("the log tells\n%s\nwant\n%s", got, want)
		}
	})
}

// forgetfulStore is a store whose audit log cannot be reached for a while.
type forgetfulStore struct {
	fullStore
	away *atomic.Bool
}

func (s forgetfulStore) AppendAudit(ctx context.Context, e tally.AuditEntry) error {
	if s.away.Load() {
		return tally.Unavailable(errors.New("away, says the test"))
	}
	return s.fullStore.AppendAudit(ctx, e)
}

func TestWhatTheAuditLogDidNotTakeItTakesLater(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var log lockedBuffer
		away := &atomic.Bool{}
		o := openWith(forgetfulStore{w.first, away}, owner.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		from, to := newTopic("likes"), newTopic("likes")
		set := func(value int64) error {
			return o.Edit(t.Context(), "test", []tally.Edit{{Topic: from, Kind: tally.EditCount, Value: value}})
		}
		away.Store(true)
		for value := range int64(3) {
			if err := set(value + 1); code(err) != tally.CodeStoreUnavailable {
				t.Errorf("an edit that is not in the log: %v", err)
			}
		}
		o.counts(t, from, 3)
		// What takes several steps does not begin without it.
		if _, err := o.Rename(t.Context(), "test", from, to); code(err) != tally.CodeStoreUnavailable {
			t.Errorf("a rename that is not in the log: %v", err)
		}
		o.counts(t, from, 3)
		if n := strings.Count(log.String(), "cannot write to the audit log"); n != 3 || !strings.Contains(log.String(), "count 2 → 3") {
			t.Errorf("the log of the process: %s", log.String())
		}
		away.Store(false)
		ctx, stop := context.WithCancel(t.Context())
		stop() // Run ends at once, and writes what is owed before
		if err := o.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := set(4); err != nil {
			t.Fatal(err)
		}
		entries, _, err := o.AuditLog(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range entries {
			told = append(told, e.Detail)
		}
		if got := strings.Join(told, ", "); got != "count 3 → 4, count 2 → 3, count 1 → 2, count 0 → 1" {
			t.Errorf("the log tells %s", got)
		}
	})
}

// lockedBuffer is written by a log and read by the test.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestSettings_InvalidEntry(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		var log lockedBuffer
		o := openWith(w.first, owner.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, name := range []string{"block range nonsense", "former nonsense", "pause blog/likes/x", "something of a later version"} {
			if err := w.first.SetSetting(ctx, name, "nonsense"); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := o.Block(ctx, "test", owner.BlockTarget{Visitor: "someone-1"}, "a robot"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := o.service.Assert(ctx, tally.Assertion{Topic: newTopic("likes"), Visitor: "someone-1", Amount: 1, MayCreate: true})
		if code(err) != tally.CodeBlocked {
			t.Errorf("the setting that can be parsed is not followed: %v", err)
		}
		if text := log.String(); !strings.Contains(text, "cannot be parsed") || strings.Count(text, "\n") > 1 {
			t.Errorf("the log says:\n%s", text)
		}
		if blocks, err := o.Blocks(ctx); err != nil || len(blocks) != 1 {
			t.Errorf("blocks: %+v, %v", blocks, err)
		}
	})
}
