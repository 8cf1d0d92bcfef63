package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// RuleStore is a store that [RunRules] opens several times with different rules.
type RuleStore interface {
	Store
	Close() error
}

// RulePlace is new, empty data.
type RulePlace struct {
	// Open opens the data with a catalog. Health reports a conflict of configuration.
	Open func(t testing.TB, catalog *tally.Catalog) RuleStore
	// Forget removes the stored rules, as in the data of an earlier release.
	Forget func(t testing.TB)
	// Structure reports that amounts are stored otherwise than other contributions, so that
	// the store can deduce the kind of data without a rule.
	Structure bool
}

// withRule returns the default catalog with a rule for metric, unless text is empty.
func withRule(t testing.TB, metric, text string) *tally.Catalog {
	t.Helper()
	metrics := tally.DefaultMetrics()
	if text != "" {
		rule, err := tally.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		metrics[metric] = rule
	}
	return tally.NewCatalog([]string{"blog"}, metrics)
}

// RunRules checks that a store keeps the rule of each metric that has data, and reports a
// conflict with another rule.
func RunRules(t *testing.T, newPlace func(t testing.TB) RulePlace) {
	assert := func(t *testing.T, store RuleStore, topic tally.Topic, member tally.Member, amount int64) {
		t.Helper()
		if batch := apply(t, store, topic, tally.Write{Member: member, Amount: amount, MayCreate: true}); !batch.Writes[0].Changed {
			t.Errorf("not changed: %+v", batch)
		}
	}
	opened := func(t *testing.T, p RulePlace, catalog *tally.Catalog) RuleStore {
		t.Helper()
		store := p.Open(t, catalog)
		if h := store.Health(); h.Conflict != nil || !h.Reached {
			t.Fatalf("health: %+v", h)
		}
		return store
	}
	refused := func(t *testing.T, p RulePlace, catalog *tally.Catalog, parts ...string) {
		t.Helper()
		store := p.Open(t, catalog)
		defer closed(t, store)
		h := store.Health()
		if h.Conflict == nil {
			t.Fatalf("health: %+v, want a conflict", h)
		}
		for _, part := range parts {
			if !strings.Contains(h.Conflict.Error(), part) {
				t.Errorf("%q lacks %q", h.Conflict, part)
			}
		}
		refuses(t, store, topic(t, "default", "likes", "page"))
	}
	for _, test := range []struct {
		name, metric, before, after string
		amount                      int64
		conflict                    bool
		deduced                     bool // also without a stored rule, if the structure shows the kind
	}{
		{"the same", "stars", "toggle", "toggle", 1, false, false},
		{"amount for toggle", "stars", "toggle", "amount:5", 1, true, true},
		{"toggle for amount", "stars", "amount:5", "toggle", 3, true, true},
		{"once for toggle", "stars", "toggle", "once", 1, true, false},
		{"toggle for once", "stars", "once", "toggle", 1, true, false},
		{"once for a default toggle", "likes", "", "once", 1, true, false},
		{"amount for a default toggle", "likes", "", "amount:3", 1, true, true},
		{"a default toggle for amount", "likes", "amount:3", "", 2, true, true},
		{"window for toggle", "stars", "toggle", "window:1h", 1, true, false},
		{"once for window", "stars", "window:1h", "once", 1, true, false},
		{"another window", "stars", "window:1h", "window:2h", 1, true, false},
		{"the same window in other words", "stars", "window:1h", "window:60m", 1, false, false},
		{"presence for toggle", "stars", "toggle", "presence", 1, true, true},
		{"a larger maximum", "stars", "amount:5", "amount:7", 5, false, false},
		{"a smaller maximum", "stars", "amount:5", "amount:4", 5, true, true},
		{"a smaller default", "claps", "amount:100", "", 80, true, true},
		{"choice for toggle", "stars", "toggle", "choice:5", 1, true, true},
		{"toggle for choice", "stars", "choice:5", "toggle", 3, true, true},
		{"amount for choice", "stars", "choice:5", "amount:5", 3, true, true},
		{"more options", "stars", "choice:5", "choice:7", 5, false, false},
		{"fewer options", "stars", "choice:5", "choice:4", 5, true, true},
		{"fewer default options", "votes", "choice:3", "", 3, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			page, counted := topic(t, "blog", test.metric, "page"), test.amount
			if strings.HasPrefix(test.before, "choice") {
				counted = 1
			}
			store := opened(t, p, withRule(t, test.metric, test.before))
			assert(t, store, page, 1, test.amount)
			closed(t, store)
			after := withRule(t, test.metric, test.after)
			if test.conflict {
				refused(t, p, after, test.metric, "--metric "+test.metric+"=")
			} else {
				closed(t, opened(t, p, after))
			}
			fitting := after
			if test.conflict {
				fitting = withRule(t, test.metric, test.before)
			}
			store = opened(t, p, fitting)
			if got := read(t, store, page, 1); got.Mine != test.amount || got.Change.Count != counted {
				t.Errorf("afterwards: %+v", got)
			}
			closed(t, store)

			p.Forget(t)
			if test.conflict && test.deduced && (p.Structure || test.amount > 1 || strings.HasPrefix(test.after, "presence")) {
				refused(t, p, after, test.metric, "--metric "+test.metric+"=")
			}
			closed(t, opened(t, p, fitting))
			if test.conflict { // the deduced rule is stored
				refused(t, p, after, test.metric)
			}
		})
	}
	t.Run("an instance with a conflict stores no rule", func(t *testing.T) {
		p := newPlace(t)
		store := opened(t, p, withRule(t, "stars", "toggle"))
		assert(t, store, topic(t, "blog", "stars", "page"), 1, 1)
		assert(t, store, topic(t, "blog", "heart", "page"), 1, 1)
		assert(t, store, topic(t, "blog", "wow", "page"), 1, 1)
		assert(t, store, topic(t, "blog", "claps", "page"), 1, 30)
		closed(t, store)
		p.Forget(t)
		metrics := tally.DefaultMetrics()
		metrics["claps"], metrics["heart"], metrics["wow"] = tally.Rule{Kind: tally.Amount, Max: 20}, tally.Rule{Kind: tally.Once, Max: 1}, tally.Rule{Kind: tally.Once, Max: 1}
		refused(t, p, tally.NewCatalog([]string{"blog"}, metrics), "claps")
		closed(t, opened(t, p, withRule(t, "stars", "toggle")))
	})
	t.Run("a larger maximum is adopted", func(t *testing.T) {
		p := newPlace(t)
		page := topic(t, "blog", "stars", "page")
		store := opened(t, p, withRule(t, "stars", "amount:5"))
		assert(t, store, page, 1, 5)
		closed(t, store)
		store = opened(t, p, withRule(t, "stars", "amount:7"))
		assert(t, store, page, 1, 7)
		closed(t, store)
		refused(t, p, withRule(t, "stars", "amount:5"), "amount:7")
	})
	t.Run("without data", func(t *testing.T) {
		p := newPlace(t)
		store := opened(t, p, withRule(t, "stars", "toggle"))
		read(t, store, topic(t, "blog", "stars", "page"), 1)
		apply(t, store, topic(t, "blog", "likes", "page"), tally.Write{Member: 1, Amount: 1, MayCreate: true})
		closed(t, store)
		closed(t, opened(t, p, withRule(t, "stars", "amount:5")))
	})
	t.Run("data of an owner", func(t *testing.T) {
		for name, give := range map[string]func(RuleStore, tally.Topic) error{
			"a seed": func(store RuleStore, topic tally.Topic) error {
				edits := []tally.Edit{{Topic: topic, Kind: tally.EditSeed, Value: 5}}
				store.Edit(context.Background(), edits)
				return edits[0].Err
			},
			"a restore": func(store RuleStore, topic tally.Topic) error {
				return store.Restore(context.Background(), false, []tally.Portion{wholePortion(topic, 0, 0, map[tally.Member]int64{1: 1})})
			},
		} {
			p := newPlace(t)
			store := opened(t, p, withRule(t, "stars", "toggle"))
			if err := give(store, topic(t, "blog", "stars", "page")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			closed(t, store)
			refused(t, p, withRule(t, "stars", "amount:5"), "toggle")
		}
	})
	t.Run("deleted data", func(t *testing.T) {
		p := newPlace(t)
		page, other := topic(t, "blog", "stars", "page"), topic(t, "blog", "likes", "page")
		store := opened(t, p, withRule(t, "stars", "toggle"))
		assert(t, store, page, 1, 1)
		assert(t, store, other, 1, 1)
		edits := []tally.Edit{{Topic: page, Kind: tally.EditDelete}}
		if store.Edit(context.Background(), edits); edits[0].Err != nil {
			t.Fatal(edits[0].Err)
		}
		closed(t, store)
		store = opened(t, p, withRule(t, "stars", "amount:5"))
		assert(t, store, page, 1, 5)
		closed(t, store)
		refused(t, p, withRule(t, "stars", "toggle"), "amount:5")
	})
	t.Run("an open catalog", func(t *testing.T) {
		p := newPlace(t)
		page := topic(t, "blog", "stars", "page")
		store := opened(t, p, withRule(t, "stars", "amount:5"))
		assert(t, store, page, 1, 4)
		closed(t, store)
		open := tally.NewOpenCatalog(tally.DefaultMetrics())
		store = opened(t, p, open)
		if got := stateOf(t, store, page).contributions; got[1] != 4 || open.Rule(page).String() != "amount:5" {
			t.Errorf("dumped %v under %s", got, open.Rule(page))
		}
		closed(t, store)
		refused(t, p, tally.NewOpenCatalog(map[string]tally.Rule{"stars": {Kind: tally.Toggle, Max: 1}}), "amount:5")
	})
	t.Run("an open catalog with defaults", func(t *testing.T) {
		p := newPlace(t)
		page := topic(t, "blog", "likes", "page")
		store := opened(t, p, withRule(t, "likes", "amount:5"))
		assert(t, store, page, 1, 4)
		closed(t, store)
		store = opened(t, p, tally.NewOpenCatalog(tally.DefaultMetrics()))
		if got := stateOf(t, store, page).contributions; got[1] != 4 {
			t.Errorf("dumped %v", got)
		}
		closed(t, store)
	})
}

// closed closes a store.
func closed(t testing.TB, store RuleStore) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// refuses checks that all calls of a store with a conflict fail.
func refuses(t *testing.T, store RuleStore, topic tally.Topic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	unavailable := func(what string, err error) {
		t.Helper()
		if err == nil || tally.AsError(err).Code != tally.CodeStoreUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	batches := []tally.Batch{{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}}
	store.Apply(ctx, batches)
	unavailable("Apply", batches[0].Err)
	unavailable("Read", store.Read(ctx, []tally.Query{{Topic: topic}})[0].Err)
	edits := []tally.Edit{{Topic: topic, Kind: tally.EditSeed, Value: 1}}
	store.Edit(ctx, edits)
	unavailable("Edit", edits[0].Err)
	unavailable("Restore", store.Restore(ctx, false, []tally.Portion{wholePortion(topic, 1, 0, nil)}))
	unavailable("Dump", store.Dump(ctx, tally.Scope{}, func(tally.Portion) error { return nil }))
	_, err := store.Top(ctx, topic.Site(), topic.Metric(), 1)
	unavailable("Top", err)
	_, err = store.Secret()
	unavailable("Secret", err)
	unavailable("SetShares", store.SetShares(ctx, time.Second, nil))
}
