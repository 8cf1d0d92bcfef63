package owner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// stepWithin bounds one look at the register and one pulse, so that a store which
// hangs does not keep the next from being tried.
const stepWithin = 3 * time.Second

// Run sends pulses, follows the settings, finishes merges that others left unfinished,
// measures the usage and writes pending entries of the audit log until ctx ends. It is
// called once.
func (d *Service) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { d.pulse(ctx) })
	parts.Go(func() { d.follow(ctx) })
	parts.Go(func() { d.measure(ctx) })
	parts.Go(func() { d.resumeAbandoned(ctx) })
	parts.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepWithin)
	defer cancel()
	_ = d.writePendingAudit(last) // the log has what is left
	return nil
}

// follow reads the settings every so often, and at once when told.
func (d *Service) follow(ctx context.Context) {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		within, cancel := context.WithTimeout(ctx, stepWithin)
		// What failed is tried again soon; that the store is away its health tells.
		var soon <-chan time.Time
		if register, err := d.loadSettings(within); err == nil {
			if values := d.abandoned(register); len(values) > 0 {
				select {
				case d.abandonedClaims <- values:
				default: // others are at it; they are met again
				}
			}
			if d.claims.any() {
				soon = time.After(claimReread)
			}
		}
		_ = d.writePendingAudit(within)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-soon:
		case <-d.settingsChanged:
		}
	}
}

// pulse tells the others of this instance.
func (d *Service) pulse(ctx context.Context) {
	tick := time.NewTicker(tally.HeartbeatInterval)
	defer tick.Stop()
	stored := map[string]int64{} // of the service's figures, what pulses carried
	for {
		d.pulseOnce(ctx, stored)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Service) pulseOnce(ctx context.Context, stored map[string]int64) {
	status, err := json.Marshal(d.status())
	if err != nil {
		d.log.Error("what this instance says of itself cannot be written", "error", err)
		status = []byte("{}")
	}
	status = withFormat(status)
	changed := d.service.ChangesBySite()
	pulse := tally.Heartbeat{Instance: d.instance, Status: status, Writes: map[string]int64{}}
	for site, n := range changed {
		if n > stored[site] {
			pulse.Writes[site] = n - stored[site]
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	if d.store.WriteHeartbeat(ctx, pulse) != nil {
		return // the next one carries these writes, too; health tells why
	}
	for site, n := range changed {
		stored[site] = n
	}
}

// withFormat adds [statusFormat] to a JSON object.
func withFormat(status []byte) []byte {
	rest, isObject := bytes.CutPrefix(status, []byte("{"))
	if !isObject {
		return status
	}
	object := fmt.Appendf(nil, `{"format":%d`, statusFormat)
	if !bytes.HasPrefix(rest, []byte("}")) {
		object = append(object, ',')
	}
	return append(object, rest...)
}

// measure takes the usage.
func (d *Service) measure(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	<-next.C
	for {
		begun := d.now()
		sites, err := d.store.Usage(ctx)
		if err == nil {
			d.usage.set(sites, begun, d.now())
			next.Reset(usageEvery)
		} else {
			next.Reset(usageAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-d.usageOutdated:
		}
	}
}

// Instance is the name that this instance has in its pulse: random, for its life.
func (d *Service) Instance() string { return d.instance }
