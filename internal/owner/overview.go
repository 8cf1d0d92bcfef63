package owner

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// activityShown is how far back the overview tells of writes: a day, so that the
	// hours of it can be compared.
	activityShown = 24 * time.Hour
	// From an age of usageTimes the time that it took, but at least usageFresh and at
	// most usageOld, an overview has the usage taken anew: that costs a small store
	// nothing, and a large one seconds. usageEvery is how often it is taken without
	// anybody asking, for the metrics, and usageAgain when to try again what failed.
	usageTimes = 200
	usageFresh = 10 * time.Second
	usageOld   = 5 * time.Minute
	usageEvery = 30 * time.Minute
	usageAgain = time.Minute
)

// Overview is what an owner sees at a glance.
type Overview struct {
	Instances []json.RawMessage `json:"instances"` // what each says of itself, see [Options]
	Activity  []tally.Activity  `json:"activity"`  // of a day, the oldest first
	Usage     []tally.SiteUsage `json:"usage"`     // as of up to some minutes ago; none at first
	Store     StoreHealth       `json:"store"`
}

// StoreHealth is how this instance finds the store.
type StoreHealth struct {
	Reached bool   `json:"reached"`
	Error   string `json:"error,omitempty"`
}

// Overview returns what there is to see. Where the store is away that is its health.
func (d *Service) Overview(ctx context.Context) (Overview, error) {
	health := d.store.Health()
	o := Overview{
		Instances: []json.RawMessage{},
		Activity:  []tally.Activity{},
		Usage:     d.usage.get(),
		Store:     StoreHealth{Reached: health.Reached},
	}
	if d.usage.old(d.now()) {
		notify(d.usageOutdated)
	}
	pulses, err := d.store.Heartbeats(ctx)
	if err == nil {
		for _, pulse := range pulses {
			if json.Valid(pulse.Status) { // those of a later version may be something else
				o.Instances = append(o.Instances, pulse.Status)
			}
		}
		var activity []tally.Activity
		activity, err = d.store.Activity(ctx, minute(d.now().Add(-activityShown)))
		o.Activity = append(o.Activity, activity...)
	}
	for _, why := range []error{err, health.Err, health.Conflict} {
		if why != nil {
			o.Store.Error = why.Error()
		}
	}
	return o, nil
}

func (u *usageSnapshot) get() []tally.SiteUsage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]tally.SiteUsage{}, u.sites...)
}

func (u *usageSnapshot) set(sites []tally.SiteUsage, begun, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sites, u.at, u.took = sites, at, at.Sub(begun)
}

// old tells whether it is time to take it anew.
func (u *usageSnapshot) old(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Sub(u.at) > min(max(usageTimes*u.took, usageFresh), usageOld)
}

// Metrics implements [tally.Instrumented].
func (d *Service) Metrics() []tally.Sample {
	var metrics []tally.Sample
	sites := d.usage.get()
	for _, figure := range []struct {
		name, help string
		of         func(tally.SiteUsage) int64
	}{
		{"site_topics", "Topics that a site has, as of some minutes ago.", func(u tally.SiteUsage) int64 { return u.Topics }},
		{"site_contributions", "Contributions that are kept for a site, as of some minutes ago.", func(u tally.SiteUsage) int64 { return u.Contributions }},
		{"site_bytes", "What a site takes up in the store, about, as of some minutes ago.", func(u tally.SiteUsage) int64 { return u.Bytes }},
	} {
		for _, u := range sites {
			metrics = append(metrics, tally.Sample{Name: figure.name, Help: figure.help, Label: "site", LabelValue: u.Site, Value: float64(figure.of(u))})
		}
	}
	return metrics
}
