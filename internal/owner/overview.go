package owner

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// activityShown is how far back the overview shows writes.
const activityShown = 24 * time.Hour

// An overview starts a new measurement of the usage if the last one is older than usageTimes the
// time that it took, within minUsageAge and maxUsageAge. A measurement is cheap on a small store
// and takes seconds on a large one. Nothing else starts one: a hosted store may bill each command,
// and a measurement takes commands for each topic.
const (
	usageTimes  = 200
	minUsageAge = 10 * time.Second
	maxUsageAge = 5 * time.Minute
)

// Overview is what the dashboard shows first.
type Overview struct {
	Instances []json.RawMessage `json:"instances"` // an InstanceStatus each; other releases may differ; empty within some sites
	Activity  []tally.Activity  `json:"activity"`  // of a day, oldest first
	Usage     []tally.SiteUsage `json:"usage"`     // of the last measurement; empty before the first
	Store     StoreHealth       `json:"store"`
}

// StoreHealth is the store's health as this instance sees it.
type StoreHealth struct {
	Reached bool   `json:"reached"`
	Error   string `json:"error,omitempty"`
}

// Overview returns the overview. If the store is away, the overview has the data of this instance
// only, and its field Store has the error.
func (s *Service) Overview(ctx context.Context) Overview {
	health, usage := s.store.Health(), s.usage.Load()
	o := Overview{
		Instances: []json.RawMessage{},
		Activity:  []tally.Activity{},
		Usage:     slices.DeleteFunc(append([]tally.SiteUsage{}, usage.Sites...), func(u tally.SiteUsage) bool { return !s.sees(u.Site) }),
		Store:     StoreHealth{Reached: health.Reached},
	}
	if s.now().Sub(usage.at) > usage.maxAge() {
		notify(s.usageOutdated)
	}
	var err error
	if s.sites == nil {
		o.Instances, err = s.instances(ctx)
	}
	if err == nil {
		var activity []tally.Activity
		activity, err = s.store.Activity(ctx, minute(s.now().Add(-activityShown)))
		o.Activity = append(o.Activity, activity...)
	}
	for _, err := range []error{err, health.Err, health.Conflict} {
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout(): // also the timeout of a context
			o.Store.Error = "the store does not answer"
		case s.sites == nil:
			o.Store.Error = err.Error()
		default:
			o.Store.Error = "the store cannot be used now" // the cause may name addresses
		}
	}
	return o
}

// instances returns the status of this instance and of those that share the store.
func (s *Service) instances(ctx context.Context) ([]json.RawMessage, error) {
	all := []json.RawMessage{s.statusJSON()}
	heartbeats, err := s.store.Heartbeats(ctx)
	for _, h := range heartbeats {
		if h.Instance != s.instance && json.Valid(h.Status) {
			all = append(all, h.Status)
		}
	}
	return all, err
}

// usageSnapshot is the usage of each site when it was last measured. It is immutable.
type usageSnapshot struct {
	tally.Usage
	at time.Time // when it was measured; zero: not yet
}

// maxAge returns the age at which the usage is measured again.
func (u *usageSnapshot) maxAge() time.Duration {
	return min(max(usageTimes*u.Took, minUsageAge), maxUsageAge)
}

// measureUsage measures the usage when usageOutdated is notified, until ctx ends. If another
// instance measured it recently, the store returns that measurement.
func (s *Service) measureUsage(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.usageOutdated:
		}
		if usage, err := s.store.Usage(ctx, s.usage.Load().maxAge()); err == nil { // after an error the next overview tries again
			s.usage.Store(&usageSnapshot{usage, s.now().Add(-usage.Age)})
		}
	}
}

// Metrics implements [tally.Instrumented].
func (s *Service) Metrics() []tally.Sample {
	var metrics []tally.Sample
	sites := s.usage.Load().Sites
	for _, figure := range []struct {
		name, help string
		of         func(tally.SiteUsage) int64
	}{
		{"site_topics", "Topics of a site, as the dashboard last measured it.", func(u tally.SiteUsage) int64 { return u.Topics }},
		{"site_contributions", "Stored contributions of a site, as the dashboard last measured it.", func(u tally.SiteUsage) int64 { return u.Contributions }},
		{"site_bytes", "Approximate size of a site in the store, as the dashboard last measured it.", func(u tally.SiteUsage) int64 { return u.Bytes }},
	} {
		for _, u := range sites {
			metrics = append(metrics, tally.Sample{Name: figure.name, Help: figure.help, Label: "site", LabelValue: u.Site, Value: float64(figure.of(u))})
		}
	}
	return metrics
}
