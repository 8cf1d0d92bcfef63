package owner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// runner is a function with a method Run.
type runner func(context.Context) error

func (r runner) Run(ctx context.Context) error { return r(ctx) }

// awayStore is a store whose heartbeats cannot be read.
type awayStore struct {
	fullStore
	cause error
}

func (s awayStore) Heartbeats(context.Context) ([]tally.Heartbeat, error) {
	return nil, tally.Unavailable(fmt.Errorf("read the heartbeats: %w", s.cause))
}

// If the store does not answer, the overview says so without technical details, for every timeout.
func TestOverview_StoreAway(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		for cause, want := range map[error]string{
			context.DeadlineExceeded: "the store does not answer",
			&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}: "the store does not answer",
			io.EOF: tally.Unavailable(fmt.Errorf("read the heartbeats: %w", io.EOF)).Error(),
		} {
			if got := open(awayStore{w.first, cause}).Overview(t.Context()).Store.Error; got != want {
				t.Errorf("%v is shown as %q, want %q", cause, got, want)
			}
		}
	})
}

// The overview shows the instances, the writes and the usage of sites, on every instance.
func TestOverview_AllInstances(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		stores := []fullStore{w.first, w.second}
		if w.first == w.second {
			stores = stores[:1]
		}
		var instances []*instance
		for i, store := range stores {
			o := openWith(store, owner.Options{Status: func() owner.InstanceStatus { return owner.InstanceStatus{Viewers: int64(i)} }})
			instances = append(instances, o)
			for n := range 3 {
				o.like(t, newTopic("likes"), visitor(n))
			}
		}
		for i, o := range instances {
			if feed, ok := stores[i].(tally.Feed); ok { // it carries heartbeats
				defer run(t, runner(func(ctx context.Context) error {
					return feed.Run(ctx, &viewer{held: map[tally.Topic]tally.Change{}}, func([]byte) {})
				}))()
			}
			defer run(t, o)() // after all likes: instances share what the first one measures
		}
		total := 3 * int64(len(instances))
		last := instances[len(instances)-1]
		processtest.Eventually(t, "instances, writes and usage are shown", func() bool {
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
			return len(seen.Instances) == len(instances) && len(viewers) == len(instances) && writes == total && topics == total &&
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
