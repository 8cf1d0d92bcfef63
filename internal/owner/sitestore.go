package owner

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// siteStore is the part of a store that concerns some sites. It embeds nothing, so that a new method
// of [Store] needs a decision here. A call that names another site fails like one that names a site
// that does not exist.
type siteStore struct {
	all            Store
	sites          []string // sorted
	showsAddresses bool     // of clients, in the audit log
}

// check returns an error if the store does not see a site. Errors: [tally.CodeUnknownSite].
func (s siteStore) check(site string) error {
	if slices.Contains(s.sites, site) {
		return nil
	}
	return errUnknownSite(site)
}

// checkEach checks the sites of topics.
func checkEach[T any](s siteStore, items []T, topic func(*T) tally.Topic) error {
	for i := range items {
		if err := s.check(topic(&items[i]).Site()); err != nil {
			return err
		}
	}
	return nil
}

// eachScope calls do with scope, or, if it names no site, with a scope for each site that the store
// sees.
func (s siteStore) eachScope(scope tally.Scope, do func(tally.Scope) error) error {
	if scope.Site != "" {
		if err := s.check(scope.Site); err != nil {
			return err
		}
		return do(scope)
	}
	for _, site := range s.sites {
		if err := do(tally.Scope{Site: site}); err != nil {
			return err
		}
	}
	return nil
}

func (s siteStore) Secret() ([]byte, error) { return s.all.Secret() }

// Health returns the health of the store without the cause of a fault, which may name
// addresses.
func (s siteStore) Health() tally.Health {
	health := s.all.Health()
	shown := tally.Health{Reached: health.Reached}
	if health.Err != nil || health.Conflict != nil {
		shown.Err = errors.New("the store cannot be used now")
	}
	return shown
}

func (s siteStore) Read(ctx context.Context, queries []tally.Query) []tally.Reading {
	if err := checkEach(s, queries, func(q *tally.Query) tally.Topic { return q.Topic }); err != nil {
		readings := make([]tally.Reading, len(queries))
		for i := range readings {
			readings[i].Err = err
		}
		return readings
	}
	return s.all.Read(ctx, queries)
}

func (s siteStore) Contributions(ctx context.Context, queries []tally.Query) ([]int64, error) {
	if err := checkEach(s, queries, func(q *tally.Query) tally.Topic { return q.Topic }); err != nil {
		return nil, err
	}
	return s.all.Contributions(ctx, queries)
}

func (s siteStore) History(ctx context.Context, period tally.Period, topics []tally.Topic) []tally.History {
	if err := checkEach(s, topics, func(topic *tally.Topic) tally.Topic { return *topic }); err != nil {
		return slices.Repeat([]tally.History{{Err: err}}, len(topics))
	}
	return s.all.History(ctx, period, topics)
}

func (s siteStore) Edit(ctx context.Context, edits []tally.Edit) {
	if err := checkEach(s, edits, func(e *tally.Edit) tally.Topic { return e.Topic }); err != nil {
		for i := range edits {
			edits[i].Err = err
		}
		return
	}
	s.all.Edit(ctx, edits)
}

func (s siteStore) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return s.eachScope(scope, func(scope tally.Scope) error { return s.all.Dump(ctx, scope, each) })
}

func (s siteStore) Topics(ctx context.Context, scope tally.Scope, each func([]tally.Topic) error) error {
	return s.eachScope(scope, func(scope tally.Scope) error { return s.all.Topics(ctx, scope, each) })
}

func (s siteStore) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	if err := checkEach(s, portions, func(p *tally.Portion) tally.Topic { return p.Topic }); err != nil {
		return err
	}
	return s.all.Restore(ctx, replace, portions)
}

func (s siteStore) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	return s.eachScope(scope, func(scope tally.Scope) error { return s.all.Journal(ctx, scope, from, to, each) })
}

func (s siteStore) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	return s.eachScope(scope, func(scope tally.Scope) error { return s.all.SearchJournal(ctx, scope, from, to, each) })
}

func (s siteStore) Revert(ctx context.Context, entries []tally.JournalEntry, mode tally.RevertMode) ([]tally.JournalEntry, []tally.Change, error) {
	if err := checkEach(s, entries, func(e *tally.JournalEntry) tally.Topic { return e.Topic }); err != nil {
		return nil, nil, err
	}
	return s.all.Revert(ctx, entries, mode)
}

func (s siteStore) SwapMark(ctx context.Context, topic tally.Topic, from, to string) (string, error) {
	if err := s.check(topic.Site()); err != nil {
		return "", err
	}
	return s.all.SwapMark(ctx, topic, from, to)
}

// Settings returns the settings that concern one of the sites.
func (s siteStore) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	settings, err := s.all.Settings(ctx, names...)
	maps.DeleteFunc(settings, func(name, _ string) bool { return s.check(tally.SettingSite(name)) != nil })
	return settings, err
}

// SwapSettings returns an error if a setting does not concern one of the sites.
func (s siteStore) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	for _, settings := range []map[string]string{expected, entries} {
		for name := range settings {
			if s.check(tally.SettingSite(name)) != nil {
				return false, errForeignSetting(name)
			}
		}
	}
	return s.all.SwapSettings(ctx, expected, entries)
}

func errForeignSetting(name string) error {
	return tally.Errorf(tally.CodeUnknownSite, "the setting %.100q concerns other sites than those of this token", name)
}

// AppendAudit returns an error if an entry concerns another site, so that an action on another
// site fails before it begins.
func (s siteStore) AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error {
	for _, entry := range entries {
		if !s.concerns(entry) {
			return errUnknownSite(entry.Sites)
		}
	}
	return s.all.AppendAudit(ctx, entries...)
}

// concerns reports whether an entry concerns the sites and no others.
func (s siteStore) concerns(entry tally.AuditEntry) bool {
	sites := strings.Fields(entry.Sites)
	return len(sites) > 0 && !slices.ContainsFunc(sites, func(site string) bool { return s.check(site) != nil })
}

// maxAuditPages bounds the pages, of [tally.MaxPortion] entries, that one call reads.
const maxAuditPages = 20

func (s siteStore) AuditLog(ctx context.Context, before string, limit int) (shown []tally.AuditEntry, next string, err error) {
	next = before
	for range maxAuditPages {
		var entries []tally.AuditEntry
		if entries, next, err = s.all.AuditLog(ctx, next, tally.MaxPortion); err != nil {
			return nil, "", err
		}
		for i, entry := range entries {
			if !s.concerns(entry) {
				continue
			}
			if shown = append(shown, s.redact(entry)); len(shown) == limit && i+1 < len(entries) {
				return shown, entry.Position, nil
			}
		}
		if next == "" || len(shown) >= limit {
			break
		}
	}
	return shown, next, nil
}

// redact removes the address of the actor from an entry, and, unless the store shows addresses of
// clients, the target and the reason of a block.
func (s siteStore) redact(entry tally.AuditEntry) tally.AuditEntry {
	if i := strings.LastIndex(entry.Actor, " "); i >= 0 {
		if _, err := netip.ParseAddr(entry.Actor[i+1:]); err == nil {
			entry.Actor = entry.Actor[:i]
		}
	}
	if !s.showsAddresses && (entry.Action == "block" || entry.Action == "unblock") {
		entry.Target, entry.Detail = "", ""
	}
	return entry
}

// Heartbeats returns the heartbeats of all instances, since a merge must detect older instances.
func (s siteStore) Heartbeats(ctx context.Context) ([]tally.Heartbeat, error) {
	return s.all.Heartbeats(ctx)
}

var errNoHeartbeat = errors.New("only instances write heartbeats")

func (s siteStore) WriteHeartbeat(context.Context, tally.Heartbeat) error { return errNoHeartbeat }

func (s siteStore) Activity(ctx context.Context, from int64) ([]tally.Activity, error) {
	activity, err := s.all.Activity(ctx, from)
	return slices.DeleteFunc(activity, func(a tally.Activity) bool { return s.check(a.Site) != nil }), err
}

func (s siteStore) Usage(ctx context.Context, maxAge time.Duration) (tally.Usage, error) {
	usage, err := s.all.Usage(ctx, maxAge)
	usage.Sites = slices.DeleteFunc(slices.Clone(usage.Sites), func(u tally.SiteUsage) bool { return s.check(u.Site) != nil })
	return usage, err
}

func (s siteStore) List(ctx context.Context, listing tally.Listing) (tally.Page, error) {
	if site := listing.Scope.Site; site != "" {
		if err := s.check(site); err != nil {
			return tally.Page{}, err
		}
	}
	listing.Sites = s.sites
	return s.all.List(ctx, listing)
}
