package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// The folder is scanned every minScanInterval. If a scan is slow, the interval grows up to
	// maxScanInterval, so that scans take one scanShare of the time. A change shows within 2 s.
	minScanInterval, maxScanInterval = 500 * time.Millisecond, 1500 * time.Millisecond
	scanShare                        = 20
	// storeRetryInterval is the pause after a failed write while requests still wait for
	// the seeds.
	storeRetryInterval = 100 * time.Millisecond
	// maxProblemsLogged bounds the log messages of one scan about single files.
	maxProblemsLogged = 50
	// seedBatch is how many seeds are stored at once.
	seedBatch = 1000
)

// seedMarker is implemented by stores that may lose data while they are open. If the mark is missing or
// lower than before, the seeds that were stored after it are lost, too.
type seedMarker interface {
	SeedMark(ctx context.Context) (int64, error)
	SetSeedMark(ctx context.Context, mark int64) error
}

// seedStore is the part of a store that the seeder uses.
type seedStore interface {
	Edit(ctx context.Context, edits []tally.Edit)
	AppendAudit(ctx context.Context, entries ...tally.AuditEntry) error
}

// seeder stores the seeds of --seed-from and follows their changes. All methods accept a
// nil seeder, which has no seeds.
type seeder struct {
	// Fixed after construction.
	seeding config.Seeding
	store   seedStore
	marker  seedMarker // nil: the store loses nothing while it is open
	catalog *tally.Catalog
	keys    *tally.KnownKeys // known from sitemaps
	log     *slog.Logger

	// Owned by run.
	folder   *seed.Folder
	mark     int64             // the last mark that was read or stored
	warnings map[string]string // the last warning about the keys of each site

	recheck atomic.Bool   // the known keys changed
	stored  chan struct{} // closed when every seed of the first scan is stored
	opened  atomic.Bool   // the same, for a quick check of each request
}

// newSeeder returns nil if there is nothing to seed.
func newSeeder(s config.Seeding, store seedStore, catalog *tally.Catalog, keys *tally.KnownKeys, log *slog.Logger) *seeder {
	if len(s.Paths) == 0 {
		return nil
	}
	marker, _ := store.(seedMarker)
	return &seeder{
		seeding: s, store: store, marker: marker, catalog: catalog, keys: keys, log: log,
		folder:   seed.NewFolder(s.Rules, s.Paths...),
		warnings: map[string]string{},
		stored:   make(chan struct{}),
	}
}

// run stores the seeds and their changes until ctx ends. If the store is unavailable, the newest seed
// of each topic stays pending. After the store has lost data, run stores all seeds again.
func (s *seeder) run(ctx context.Context) error {
	if s == nil {
		return nil
	}
	pending := map[tally.Topic]seed.Seed{}
	total := 0    // seeds that changed before the gate opened
	skipped := "" // last log message about skipped files
	for {
		s.checkMark(ctx)
		began := time.Now()
		found := s.folder.Scan(ctx)
		if ctx.Err() != nil {
			return nil
		}
		took := time.Since(began)
		s.logFound(found)
		if now := found.Skipped(); now != skipped {
			skipped = now
			s.log.Info("files of --seed-from were not read", "which", skipped)
		}
		for _, each := range found.Seeds {
			pending[each.Topic] = each
		}
		if s.recheck.Swap(false) || len(found.Seeds) > 0 {
			s.warnUnlisted()
		}
		changed, err := 0, s.raiseMark(ctx, len(pending) > 0)
		if err == nil {
			changed, err = s.storePending(ctx, pending)
		}
		total += changed
		pause := min(max(minScanInterval, scanShare*took), maxScanInterval)
		switch {
		case err != nil && !s.opened.Load():
			pause = storeRetryInterval
		case err != nil: // the store logs it
		case !s.opened.Load():
			s.opened.Store(true)
			close(s.stored)
			s.log.Info("seeds are set", "from", s.seeding.Paths, "files", found.Files, "changed", total)
		case changed > 0:
			s.log.Info("seeds changed", "from", s.seeding.Paths, "changed", changed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// keysChanged makes the next scan compare the seeds with the sitemaps.
func (s *seeder) keysChanged() {
	if s != nil {
		s.recheck.Store(true)
	}
}

// logFound logs the problems and notes of a scan.
func (s *seeder) logFound(found seed.Result) {
	s.logProblems(found.Problems)
	for i, note := range found.Notes {
		switch {
		case i == maxProblemsLogged:
			return // tallycast seed --dry-run prints all
		case note.Line == 0:
			s.log.Warn("seeds may have keys that no page has", "at", note.String())
		default:
			s.log.Info("a page is not seeded", "at", note.String())
		}
	}
}

func (s *seeder) logProblems(problems []seed.Problem) {
	for i, problem := range problems {
		if i == maxProblemsLogged {
			s.log.Warn("more cannot be read; tallycast seed --dry-run names all", "more", len(problems)-i)
			return
		}
		s.log.Warn("a seed cannot be read; the others are", "at", problem.String())
	}
}

// warnUnlisted warns of seeded keys that are not in the sitemap of their site.
func (s *seeder) warnUnlisted() {
	unlisted := seed.FindUnlisted(s.folder.Seeds(), func(each seed.Seed) bool {
		isListed, isKnown := s.keys.Contains(each.Topic)
		return isListed || !isKnown
	})
	for _, each := range unlisted {
		missing, examples := len(each.Missing), each.Examples()
		warning := fmt.Sprint(missing, each.Pages, examples)
		if s.warnings[each.Site] != warning {
			s.warnings[each.Site] = warning
			s.log.Warn("seeded keys are not in the sitemap: no page may show them", "site", each.Site, "missing", missing, "of", each.Pages, "examples", examples)
		}
	}
}

// checkMark makes run store all seeds again if the store has lost data since they were stored.
func (s *seeder) checkMark(ctx context.Context) {
	if s.marker == nil {
		return
	}
	mark, err := s.marker.SeedMark(ctx)
	if err != nil {
		return // the store logs it
	}
	if mark < s.mark {
		s.log.Warn("the store has lost data; all seeds are set again", "from", s.seeding.Paths)
		s.folder = seed.NewFolder(s.seeding.Rules, s.seeding.Paths...)
	}
	s.mark = mark
}

// raiseMark stores a higher mark before seeds are stored. If the store loses these seeds later, it also
// loses the mark.
func (s *seeder) raiseMark(ctx context.Context, hasPending bool) error {
	if s.marker == nil || !hasPending {
		return nil
	}
	mark := max(s.mark+1, time.Now().UnixMicro())
	if err := s.marker.SetSeedMark(ctx, mark); err != nil {
		return err
	}
	s.mark = mark
	return nil
}

// storePending stores the pending seeds, and removes those that are stored or refused from pending.
// Errors: [tally.CodeStoreUnavailable].
func (s *seeder) storePending(ctx context.Context, pending map[tally.Topic]seed.Seed) (changed int, err error) {
	// In the same order on every instance, so that instances that start together do the same.
	topics := slices.SortedFunc(maps.Keys(pending), tally.Topic.Compare)
	for batch := range slices.Chunk(topics, seedBatch) {
		var edits []tally.Edit
		for _, topic := range batch {
			if err := s.catalog.CheckEditable(topic); err != nil {
				s.logRefused(pending[topic], err)
				delete(pending, topic)
				continue
			}
			edits = append(edits, tally.Edit{Topic: topic, Kind: tally.EditSeed, Value: pending[topic].Count})
		}
		s.store.Edit(ctx, edits)
		var stored []tally.Edit
		for _, e := range edits {
			if tally.IsUnavailable(e.Err) {
				err = e.Err
				continue
			}
			if e.Err != nil {
				s.logRefused(pending[e.Topic], e.Err)
			}
			if e.Changed {
				stored = append(stored, e)
			}
			delete(pending, e.Topic)
		}
		changed += len(stored)
		if err = errors.Join(err, s.audit(ctx, stored)); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (s *seeder) logRefused(each seed.Seed, err error) {
	s.logProblems([]seed.Problem{{File: each.File, Line: each.Line, Reason: tally.AsError(err).Message}})
}

// audit writes one audit entry for seeds that were stored.
func (s *seeder) audit(ctx context.Context, edits []tally.Edit) error {
	if len(edits) == 0 {
		return nil
	}
	target := edits[0].Topic.Site()
	if len(edits) == 1 {
		target = edits[0].Topic.String()
	}
	const most = 5 // topics that an entry names
	var changes, sites []string
	for _, e := range edits {
		sites = append(sites, e.Topic.Site())
	}
	slices.Sort(sites)
	for _, e := range edits[:min(len(edits), most)] {
		changes = append(changes, fmt.Sprintf("%s %d → %d", e.Topic, e.Before.Seed, e.Value))
	}
	detail := strings.Join(changes, ", ")
	if more := len(edits) - most; more > 0 {
		detail += fmt.Sprintf(" and %d more", more)
	}
	return s.store.AppendAudit(ctx, tally.AuditEntry{
		At: time.Now(), Actor: "tallycast serve --seed-from", Action: "seed", Target: target, Detail: detail, Sites: strings.Join(slices.Compact(sites), " "),
	})
}
