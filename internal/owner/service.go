package owner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Store is what a [Service] works on.
type Store interface {
	tally.Store
	tally.Ledger
}

// Options configure a [Service]. Each may be left out.
type Options struct {
	// Broadcast carries a payload to the other instances; it does not block. Without
	// it they learn of settings within [rereadEvery].
	Broadcast func(payload []byte)
	// Status returns what this instance says of itself in its pulse, as JSON is made
	// of it. It does no I/O.
	Status func() any
	// JournalRetention is how long the store keeps its journal, against which spikes are told; 0
	// stands for a week.
	JournalRetention time.Duration
	// LeaseTime is how long a merge that is not carried on stays with its instance; 0
	// stands for [leaseTime].
	LeaseTime time.Duration
	Log       *slog.Logger     // slog.Default() when nil
	Now       func() time.Time // time.Now when nil
}

// Service is where an owner's work is done. It is safe for concurrent use.
type Service struct {
	// fixed after construction
	store            Store
	service          *tally.Service
	catalog          *tally.Catalog
	broadcast        func([]byte)
	status           func() any
	journalRetention time.Duration
	log              *slog.Logger
	now              func() time.Time
	instance         string // random, for the life of the process
	leaseTime        time.Duration

	settingsChanged chan struct{} // that the settings changed; holds one
	usageOutdated   chan struct{} // that the usage should be measured again; holds one
	abandonedClaims chan []string // values of claims that were abandoned; holds one

	settings     followedSettings
	claims       claims
	usage        usageSnapshot
	pendingAudit pendingAudit
}

// New returns a desk over store. service follows the settings that are changed at it, or
// at the desks of other instances while [Desk.Run] runs.
func New(store Store, service *tally.Service, o Options) *Service {
	d := &Service{
		store:            store,
		service:          service,
		catalog:          service.Catalog(),
		broadcast:        o.Broadcast,
		status:           o.Status,
		journalRetention: o.JournalRetention,
		log:              o.Log,
		now:              o.Now,
		instance:         rand.Text(),
		leaseTime:        o.LeaseTime,

		settingsChanged: make(chan struct{}, 1),
		usageOutdated:   make(chan struct{}, 1),
		abandonedClaims: make(chan []string, 1),
	}
	if d.leaseTime <= 0 {
		d.leaseTime = leaseTime
	}
	if d.broadcast == nil {
		d.broadcast = func([]byte) {}
	}
	if d.status == nil {
		d.status = func() any { return struct{}{} }
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.journalRetention <= 0 {
		d.journalRetention = 7 * 24 * time.Hour
	}
	return d
}

// followedSettings is what the desk keeps of the settings that were read last.
type followedSettings struct {
	mu        sync.Mutex
	complaint string // what was last logged of entries that cannot be parsed
	// signedOut are the sessions that somebody signed out of, and when each would have
	// ended by itself; nil: none.
	signedOut map[string]time.Time
}

// usageSnapshot is what each site takes up, as of a while ago.
type usageSnapshot struct {
	mu    sync.Mutex
	sites []tally.SiteUsage
	at    time.Time // zero: never yet
	took  time.Duration
}

// frozenWait is how long an edit waits for a merge of its topic: most are over sooner.
const frozenWait = time.Second

// Edit carries out the edits, and writes those that changed something to the audit
// log. Each edit has its own error; the one returned is the first of them, or that
// of the log. Errors: [tally.CodeUnknownSite], [tally.CodeUnknownMetric] and, of
// presence, [tally.CodeReadOnlyMetric], before anything is done;
// [tally.CodeBadAmount], [tally.CodeStoreUnavailable], also while a topic is merged.
func (d *Service) Edit(ctx context.Context, actor string, edits []tally.Edit) error {
	for i := range edits {
		if err := d.catalog.CheckEditable(edits[i].Topic); err != nil {
			return err
		}
	}
	d.editThawed(ctx, edits)
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for i := range edits {
		e := &edits[i]
		keep(e.Err)
		if e.Err != nil || !e.Changed {
			continue
		}
		keep(d.Audit(ctx, actor, editAction(e.Kind), e.Topic.String(), editDetail(e)))
		if e.Kind == tally.EditDelete || e.Kind == tally.EditReset {
			keep(d.forgetAliases(ctx, e.Topic, e.After.Version))
		}
	}
	return first
}

// editThawed carries out the edits; those of topics that are being merged it repeats
// until the merge is over, for at most [frozenWait].
func (d *Service) editThawed(ctx context.Context, edits []tally.Edit) {
	d.store.Edit(ctx, edits)
	for end := time.Now().Add(frozenWait); time.Now().Before(end) && ctx.Err() == nil; {
		var again []int
		var frozen []tally.Edit
		for i := range edits {
			if errors.Is(edits[i].Err, tally.ErrFrozen) {
				again, frozen = append(again, i), append(frozen, edits[i])
			}
		}
		if len(again) == 0 {
			return
		}
		time.Sleep(claimPoll)
		d.releaseUnclaimed(ctx, frozen)
		d.store.Edit(ctx, frozen)
		for j, i := range again {
			edits[i] = frozen[j]
		}
	}
}

// releaseUnclaimed releases topics that are frozen though no merge has claimed them, as in
// data that was restored without its settings.
func (d *Service) releaseUnclaimed(ctx context.Context, frozen []tally.Edit) {
	for _, e := range frozen {
		mark, err := d.store.SwapMark(ctx, e.Topic, "", "")
		if err != nil || !tally.IsFrozen(mark) {
			continue
		}
		// Read after the mark: the merge that set it has its claim, or is over.
		register, err := d.store.Settings(ctx)
		if err == nil && register[tally.ClaimSetting(e.Topic)] == "" {
			_, _ = d.store.SwapMark(ctx, e.Topic, mark, tally.AliasMark(register, e.Topic))
		}
	}
}

func editAction(kind tally.EditKind) string {
	switch kind {
	case tally.EditSeed:
		return "seed"
	case tally.EditAdjustment:
		return "adjust"
	case tally.EditCount:
		return "set"
	case tally.EditReset:
		return "reset"
	case tally.EditDelete:
		return "delete"
	case tally.EditBase:
		return "base"
	default:
		return "withdraw"
	}
}

// editDetail says for people what an edit did.
func editDetail(e *tally.Edit) string {
	detail := fmt.Sprintf("count %d → %d", e.Before.Count, e.After.Count)
	switch e.Kind {
	case tally.EditSeed:
		detail += fmt.Sprintf(", seed %d → %d", e.Before.Seed, e.After.Seed)
	case tally.EditAdjustment, tally.EditBase:
		detail += fmt.Sprintf(", adjustment %d → %d", e.Before.Adjustment, e.After.Adjustment)
	}
	return detail
}

// List returns a page of topics. Errors: [tally.CodeStoreUnavailable].
func (d *Service) List(ctx context.Context, listing tally.Listing) (tally.Page, error) {
	return d.store.List(ctx, listing)
}

// Get returns the state of a topic; version 0 where nobody touched it.
// Errors: [tally.CodeUnknownSite], [tally.CodeUnknownMetric],
// [tally.CodeReadOnlyMetric], [tally.CodeStoreUnavailable].
func (d *Service) Get(ctx context.Context, topic tally.Topic) (tally.State, error) {
	if err := d.catalog.CheckEditable(topic); err != nil {
		return tally.State{}, err
	}
	// By name the key itself precedes all that begin with it.
	page, err := d.store.List(ctx, tally.Listing{
		Scope: tally.ScopeOf(topic),
		Order: tally.ByTopic,
		Limit: 1,
	})
	if err != nil {
		return tally.State{}, err
	}
	if i := slices.IndexFunc(page.States, func(s tally.State) bool { return s.Topic == topic }); i >= 0 {
		return page.States[i], nil
	}
	return tally.State{Change: tally.Change{Topic: topic}}, nil
}
