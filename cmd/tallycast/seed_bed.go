package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// seedbed returns where the flags say that seeds are put. Its errors are those of
// usage, and of a store that cannot be used.
func (p *process) seedbed(rules seed.Rules, dry bool) (seedbed, error) {
	b, err := p.backend(false)
	if err != nil {
		return nil, err
	}
	if b.isService() {
		client, err := p.adminClient()
		if err != nil {
			return nil, err
		}
		return servedBed{client}, nil
	}
	p.printStore(b)
	return p.directBed(b.store, rules, dry)
}

// servedBed puts seeds through a running service.
type servedBed struct{ client *adminClient }

func (b servedBed) close() { b.client.close() }

func (b servedBed) sow(ctx context.Context, seeds []seed.Seed, preview bool) ([]sown, error) {
	type line struct {
		Topic string `json:"topic"`
		Seed  int64  `json:"seed"`
	}
	asked := struct {
		Seeds   []line `json:"seeds"`
		Preview bool   `json:"preview"`
	}{Preview: preview}
	for _, each := range seeds {
		asked.Seeds = append(asked.Seeds, line{each.Topic.String(), each.Count})
	}
	var answer struct {
		Seeds []struct {
			Topic    string
			Before   int64
			Changed  bool
			Unlisted bool
			Error    *refusal
		}
	}
	if err := b.client.call(ctx, http.MethodPost, "/admin/v1/seeds", asked, &answer); err != nil {
		return nil, err
	}
	if len(answer.Seeds) != len(seeds) {
		return nil, fmt.Errorf("%s answered of %d seeds where %d were sent", b.client.at, len(answer.Seeds), len(seeds))
	}
	done := make([]sown, len(seeds))
	for i, each := range answer.Seeds {
		done[i] = sown{Seed: seeds[i], before: each.Before, changed: each.Changed, unlisted: each.Unlisted}
		if each.Error != nil {
			done[i].err = errors.New(each.Error.Message)
		}
	}
	return done, nil
}

// settingsNamed returns settings of serve as flags of another command.
func settingsNamed(names ...string) (some []definition) {
	for _, d := range settings {
		if slices.Contains(names, d.name) {
			d.group = groupDirect
			some = append(some, d)
		}
	}
	return some
}

// directBed puts seeds straight into a store.
type directBed struct {
	store   ledger       // what changes; nil where nothing is to be
	shown   tally.Lister // nil: the store does not exist yet
	catalog *tally.Catalog
	ended   func() error
}

// ledger is what seeds are put into.
type ledger interface {
	tally.Lister
	tally.Editor
	tally.AuditStore
}

func (p *process) directBed(url storeURL, rules seed.Rules, dry bool) (*directBed, error) {
	stores, err := p.directStores()
	if err != nil {
		return nil, err
	}
	bed := &directBed{
		catalog: tally.NewCatalog(append(stores.sites.names(), rules.Site), stores.metrics),
		ended:   func() error { return nil },
	}
	if dry && isNew(url) {
		return bed, nil
	}
	if path := url.sqlitePath; path != "" && dry {
		// Beside a service that holds the file.
		only, err := sqlitestore.OpenReader(p.ctx, path, bed.catalog)
		if err != nil {
			return nil, err
		}
		bed.shown, bed.ended = only, only.Close
		return bed, nil
	}
	opened, err := stores.write(p.ctx, url, stores.secret)
	if err != nil {
		return nil, adviseLocked(err)
	}
	bed.store, bed.shown, bed.ended = opened, opened, opened.Close
	return bed, nil
}

func (b *directBed) close() { _ = b.ended() } // what was set is durable already

func (b *directBed) sow(ctx context.Context, seeds []seed.Seed, preview bool) ([]sown, error) {
	if !preview {
		return sowInto(ctx, b.store, b.catalog, "tallycast seed", seeds)
	}
	done := make([]sown, len(seeds))
	for i, each := range seeds {
		done[i] = sown{Seed: each, err: seedable(b.catalog, each.Topic)}
		if done[i].err != nil {
			continue
		}
		var before tally.State
		if b.shown != nil {
			var err error
			if before, err = tally.StateOf(ctx, b.shown, each.Topic); err != nil {
				return nil, err
			}
		}
		e := tally.Edit{Topic: each.Topic, Kind: tally.EditSeed, Value: each.Count}
		e.Preview(before)
		done[i].before, done[i].changed = before.Seed, e.Changed
	}
	return done, nil
}

// seedable tells why a topic cannot have a seed.
func seedable(catalog *tally.Catalog, topic tally.Topic) error {
	if err := catalog.CheckEditable(topic); err != nil {
		return errors.New(tally.AsError(err).Message)
	}
	return nil
}

// sowInto sets seeds in a store, and writes what changed to its audit log. The
// error is that of a store that cannot be reached; each seed has its own of
// other kinds.
func sowInto(ctx context.Context, store ledger, catalog *tally.Catalog, actor string, seeds []seed.Seed) ([]sown, error) {
	done := make([]sown, len(seeds))
	var edits []tally.Edit
	var of []int // which of seeds an edit is of
	for i, each := range seeds {
		done[i] = sown{Seed: each, err: seedable(catalog, each.Topic)}
		if done[i].err == nil {
			edits = append(edits, tally.Edit{Topic: each.Topic, Kind: tally.EditSeed, Value: each.Count})
			of = append(of, i)
		}
	}
	store.Edit(ctx, edits)
	var away error
	var changed []tally.Edit
	for i, edit := range edits {
		if tally.AsError(edit.Err).Code == tally.CodeStoreUnavailable && edit.Err != nil {
			away = edit.Err
			continue
		}
		done[of[i]] = sown{Seed: seeds[of[i]], before: edit.Before.Seed, changed: edit.Changed, err: edit.Err}
		if edit.Changed {
			changed = append(changed, edit)
		}
	}
	if len(changed) > 0 {
		err := store.AppendAudit(ctx, tally.AuditEntry{At: time.Now(), Actor: actor, Action: "seed", Target: seedTarget(changed), Detail: seedDetail(changed)})
		if away == nil {
			away = err
		}
	}
	return done, away
}

// seedTarget and seedDetail say in the audit log what was seeded.
func seedTarget(edits []tally.Edit) string {
	if len(edits) == 1 {
		return edits[0].Topic.String()
	}
	return edits[0].Topic.Site()
}

func seedDetail(edits []tally.Edit) string {
	const most = 5 // topics that an entry names
	detail := ""
	for i, edit := range edits {
		if i == most {
			return fmt.Sprintf("%s and %d more", detail, len(edits)-most)
		}
		if i > 0 {
			detail += ", "
		}
		detail += fmt.Sprintf("%s %d → %d", edit.Topic, edit.Before.Seed, edit.Value)
	}
	return detail
}
