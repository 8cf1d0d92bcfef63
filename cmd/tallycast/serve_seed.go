package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	refusals "github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

// seedSettings are those of serve that give topics their seeds.
var seedSettings = []definition{
	{name: "seed-from", group: groupSites, takes: "PATH", repeatable: true,
		help: "A folder of pages whose frontmatter gives the numbers that counts begin with, or a table or document of them. It is read before the first answer, and followed. Repeatable."},
	{name: "seed-field", group: groupSites, takes: "METRIC=FIELD", fallback: "likes=likes", repeatable: true, help: fieldHelp},
	{name: "seed-site", group: groupSites, takes: "NAME", fallback: tally.DefaultSite, help: "The site of the topics that are seeded."},
	{name: "seed-key-from", group: groupSites, takes: "WORD", fallback: seed.FromPath, help: keyFromHelp},
	{name: "seed-strip-prefix", group: groupSites, takes: "PATH", help: stripHelp},
	{name: "seed-add-prefix", group: groupSites, takes: "PATH", help: addHelp},
}

// seeding is what --seed-from asks for.
type seeding struct {
	paths []string // none: nothing is asked for
	rules seed.Rules
}

// readSeeding reads the settings of [seeding].
func (r *reader) readSeeding(c *config) {
	before := len(r.problems)
	c.seeding.paths = many(r, "seed-from", func(items []string) ([]string, error) {
		var problems []error
		for _, item := range items {
			if _, err := os.Stat(item); err != nil {
				problems = append(problems, fmt.Errorf("%s should be a folder or a file: %w", item, plainPathError(err)))
			}
		}
		return items, errors.Join(problems...)
	})
	c.seeding.rules = r.readRules("seed-")
	if len(c.seeding.paths) == 0 || len(r.problems) > before {
		return
	}
	catalog := tally.NewCatalog(c.sites.names(), c.metrics)
	if site := c.seeding.rules.Site; !slices.Contains(catalog.Sites(), site) {
		r.refuse("seed-site", fmt.Errorf("there is no site %q; --site declares one", site))
		return
	}
	for _, field := range c.seeding.rules.Fields {
		// Any key does: of the topic only site and metric are looked at.
		topic, err := tally.NewTopic(c.seeding.rules.Site, field.Metric, "x")
		if err == nil {
			err = seedable(catalog, topic)
		}
		if err != nil {
			r.refuse("seed-field", err)
		}
	}
}

const (
	// A folder is looked at every shortestLook, or so seldom that looking takes a
	// twentieth of the time, up to longestLook: what changed shows within 2 s.
	shortestLook, longestLook = 500 * time.Millisecond, 1500 * time.Millisecond
	lookShare                 = 20
	// storeRetry is the pause before a store that did not answer is asked again,
	// while nothing is answered for want of seeds.
	storeRetry = 100 * time.Millisecond
	// gateWithin is how long a request waits for the seeds before it is answered
	// that the store cannot be reached: the contract's 3 s less what the rest needs.
	gateWithin = 2 * time.Second
	// maxProblemsLogged bounds what one look says of single files.
	maxProblemsLogged = 50
)

// seedMarker is implemented by stores that may lose data while they are open. A mark that
// is lower than before, or missing, tells that the seeds of after it are lost too.
type seedMarker interface {
	SeedMark(ctx context.Context) (int64, error)
	SetSeedMark(ctx context.Context, mark int64) error
}

// seeder sets the seeds that --seed-from gives, and follows their changes.
type seeder struct {
	paths   []string
	folder  *seed.Folder // used by run alone
	rules   seed.Rules
	store   ledger
	marks   seedMarker // nil: the store loses nothing while it is open
	mark    int64      // the highest mark that was seen; used by run alone
	catalog *tally.Catalog
	keys    *tally.KnownKeys // known from site maps
	log     *slog.Logger
	seeded  pageSeeds         // used by run alone, as the next
	said    map[string]string // what was last logged of each site's keys

	changed atomic.Bool   // other keys are known
	set     chan struct{} // closed when every seed that was there at the start is stored
	passed  atomic.Bool   // the same, for requests
}

// newSeeder returns nil where nothing is asked for, which all methods take.
func newSeeder(s seeding, store ledger, catalog *tally.Catalog, keys *tally.KnownKeys, log *slog.Logger) *seeder {
	if len(s.paths) == 0 {
		return nil
	}
	marks, _ := store.(seedMarker)
	return &seeder{
		paths:  s.paths,
		folder: seed.NewFolder(s.rules, s.paths...),
		rules:  s.rules, marks: marks,
		store: store, catalog: catalog, keys: keys, log: log,
		said: map[string]string{},
		set:  make(chan struct{}),
	}
}

// run sets the seeds, and those that change, until ctx ends. What a store that is
// away did not take waits here, the newest of each topic. All are set again when the store
// has lost some.
func (s *seeder) run(ctx context.Context) error {
	if s == nil {
		return nil
	}
	pending := map[tally.Topic]seed.Seed{}
	total := 0    // seeds that changed before the gate opened
	skipped := "" // what was last logged of files that are not read
	for {
		s.checkMark(ctx)
		began := time.Now()
		found := s.folder.Scan(ctx)
		if ctx.Err() != nil {
			return nil
		}
		looked := time.Since(began)
		s.complain(found.Problems)
		for i, note := range found.Notes {
			if i == maxProblemsLogged {
				break // tallycast seed --dry-run names all
			}
			if note.Line == 0 {
				s.log.Warn("seeds may have keys that no page has", "at", note.String())
				continue
			}
			s.log.Info("a page is not seeded", "at", note.String())
		}
		if now := found.Skipped(); now != skipped {
			skipped = now
			s.log.Info("files of --seed-from were not read", "which", skipped)
		}
		for _, each := range found.Seeds {
			pending[each.Topic] = each
			s.seeded.add(each)
		}
		if s.changed.Swap(false) || len(found.Seeds) > 0 {
			s.warnUnlisted()
		}
		changed, err := 0, s.raiseMark(ctx, len(pending) > 0)
		if err == nil {
			changed, err = s.sow(ctx, pending)
		}
		total += changed
		pause := min(max(shortestLook, lookShare*looked), longestLook)
		switch {
		case err != nil && !s.passed.Load():
			pause = storeRetry
		case err != nil: // the store's own log and health tell
		case !s.passed.Load():
			s.passed.Store(true)
			close(s.set)
			s.log.Info("seeds are set", "from", s.paths, "files", found.Files, "changed", total)
		case changed > 0:
			s.log.Info("seeds changed", "from", s.paths, "changed", changed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// checkKeys has the seeds compared with the site maps soon.
func (s *seeder) checkKeys() {
	if s != nil {
		s.changed.Store(true)
	}
}

// warnUnlisted says which seeded keys are not in the site map of their site.
func (s *seeder) warnUnlisted() {
	for site, keys := range s.seeded.bySite() {
		missing := slices.DeleteFunc(slices.Clone(keys), func(each seed.Seed) bool {
			isListed, isKnown := s.keys.Contains(each.Topic)
			return isListed || !isKnown
		})
		said := fmt.Sprint(len(missing), len(keys), examples(missing))
		if len(missing) > 0 && s.said[site] != said {
			s.said[site] = said
			s.log.Warn("seeded keys are not in the site map: no page may show them", "site", site, "missing", len(missing), "of", len(keys), "examples", examples(missing))
		}
	}
}

// checkMark has all seeds read again if the store has lost data since they were set: it
// came back empty, or older than it was.
func (s *seeder) checkMark(ctx context.Context) {
	if s.marks == nil {
		return
	}
	mark, err := s.marks.SeedMark(ctx)
	if err != nil {
		return // the store's own log and health tell
	}
	if mark < s.mark {
		s.log.Warn("the store has lost data; all seeds are set again", "from", s.paths)
		s.folder = seed.NewFolder(s.rules, s.paths...)
	}
	s.mark = mark
}

// raiseMark stores a higher mark before seeds are set: seeds that are lost are lost with it,
// or were set after it.
func (s *seeder) raiseMark(ctx context.Context, sets bool) error {
	if s.marks == nil || !sets {
		return nil
	}
	mark := max(s.mark+1, time.Now().UnixMicro())
	if err := s.marks.SetSeedMark(ctx, mark); err != nil {
		return err
	}
	s.mark = mark
	return nil
}

// sow stores what is pending, and drops from it what is stored or never will be.
func (s *seeder) sow(ctx context.Context, pending map[tally.Topic]seed.Seed) (changed int, err error) {
	// By name, so that two instances that begin together do the same.
	topics := slices.SortedFunc(maps.Keys(pending), func(a, b tally.Topic) int { return strings.Compare(a.String(), b.String()) })
	for portion := range slices.Chunk(topics, seedPortion) {
		seeds := make([]seed.Seed, len(portion))
		for i, topic := range portion {
			seeds[i] = pending[topic]
		}
		done, err := sowInto(ctx, s.store, s.catalog, "tallycast serve --seed-from", seeds)
		for _, each := range done {
			if each.changed {
				changed++
			}
			if each.err != nil && tally.AsError(each.err).Code != tally.CodeStoreUnavailable {
				s.complain([]seed.Problem{{File: each.File, Line: each.Line, Reason: each.err.Error()}})
			}
			if err == nil {
				delete(pending, each.Topic)
			}
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (s *seeder) complain(problems []seed.Problem) {
	for i, problem := range problems {
		if i == maxProblemsLogged {
			s.log.Warn("more cannot be read; tallycast seed --dry-run names all", "more", len(problems)-i)
			return
		}
		s.log.Warn("a seed cannot be read; the others are", "at", problem.String())
	}
}

// gate lets requests through to next once every seed is stored that was there at
// the start, so that nobody reads or sets a number without it. Before, only what needs
// none is answered at once. base is the base path.
func (s *seeder) gate(base string, next http.Handler) http.Handler {
	if s == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.passed.Load() && needsSeeds(r.Method, strings.TrimPrefix(r.URL.Path, base)) && !s.await(r.Context()) {
			s.refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// needsSeeds tells whether a request shows readers a count, or sets what its seed is a
// part of. An owner may look, and see what is there by now.
func needsSeeds(method, path string) bool {
	switch {
	case strings.HasPrefix(path, "/v1/"), strings.HasPrefix(path, "/badge/"):
		return true // whatever the topic's key ends with
	case path == "/healthz", path == "/readyz", path == "/openapi.yaml", strings.HasSuffix(path, ".js"), strings.HasSuffix(path, ".css"):
		return false
	case strings.HasPrefix(path, "/admin"):
		return strings.HasPrefix(path, "/admin/v1/") && path != "/admin/v1/session" && method != http.MethodGet && method != http.MethodHead
	}
	return true
}

// await waits for the seeds, a while.
func (s *seeder) await(ctx context.Context) bool {
	late := time.NewTimer(gateWithin)
	defer late.Stop()
	select {
	case <-s.set:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// refuse answers as the service does while its store is away, which keeps the seeds
// from being set. Nothing of the answer is anybody's: every origin may read it.
func (s *seeder) refuse(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Retry-After, ETag")
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/v1/stream") {
		// An EventSource gives up for good on any other status.
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "retry: 2000\n\ndata: {\"event\":\"stale\"}\n\n") // the client may be gone
		return
	}
	e, status := refusals.Of(tally.Unavailable(errors.New("the seeds are not set yet")))
	refusals.SetHeader(h, e, status, "")
	h.Set("Content-Type", refusals.Media)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(refusals.Append(nil, e, status, "")) // the client may be gone
	}
}
