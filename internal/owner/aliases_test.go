package owner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// An import adds as many blocks and aliases as the owner's calls, and no others. A merge adds as
// many aliases as an import.
func TestImportCheck_Limits(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx := t.Context()
		o := open(w.first)
		editor := o.Within(owner.Access{Role: owner.Editor, Sites: []string{"blog"}})
		full, filled := topic("blog/likes/full"), map[string]string{}
		aliases := func(prefix string, n int) (list []tally.Topic) {
			for i := range n {
				list = append(list, topic(fmt.Sprintf("blog/likes/%s-%d", prefix, i)))
			}
			return list
		}
		fill := func(name, value string) { filled[name] = value }
		fill(tally.AliasSetting(full, aliases("old", 1000)))
		for i := range 48 {
			fill(tally.AliasSetting(topic(fmt.Sprint("blog/likes/other-", i)), aliases(fmt.Sprint("former-", i), 1000)))
		}
		fill(tally.AliasSetting(topic("blog/likes/last"), aliases("former", 999)))
		for i := range 1000 {
			filled[fmt.Sprintf("block site blog range 203.0.%d.%d/32", i/250, i%250)] = "x"
		}
		if _, err := w.first.SwapSettings(ctx, nil, filled); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			setting, value string
			want           tally.Code
		}{
			"block that exists":        {"block site blog range 203.0.1.1/32", "x", ""},
			"block 1001":               {"block site blog range 198.51.100.1/32", "x", tally.CodeBadBody},
			"all addresses":            {"block site blog range 0.0.0.0/0", "x", tally.CodeBadBody},
			"long reason":              {"block site blog range 203.0.1.1/32", strings.Repeat("x", 1001), tally.CodeBadBody},
			"bits behind the range":    {"block site blog range 203.0.1.1/24", "x", tally.CodeBadBody},
			"mapped address":           {"block site blog range ::ffff:203.0.1.1/128", "x", tally.CodeBadBody},
			"no hash":                  {"block site blog visitor someone-1", "x", tally.CodeBadBody},
			"unknown kind":             {"block site blog country XX", "x", tally.CodeBadBody},
			"unknown setting":          {"token mine", "{}", tally.CodeBadBody},
			"broken list":              {"former blog/likes/a", "[", tally.CodeBadBody},
			"aliases that exist":       {"former blog/likes/full", `["blog/likes/old-7"]`, ""},
			"alias 1001 of the topic":  {"former blog/likes/full", `["blog/likes/new"]`, tally.CodeBadTopic},
			"alias 50000 of the site":  {"former blog/likes/a", `["blog/likes/b"]`, ""},
			"alias 50001 of the site":  {"former blog/likes/a", `["blog/likes/b","blog/likes/c"]`, tally.CodeBadTopic},
			"alias with other options": {"former blog/likes/a", `["blog/poll/a"]`, tally.CodeBadTopic},
			"alias in another site":    {"former blog/likes/a", `["docs/likes/a"]`, tally.CodeUnknownSite},
		} {
			if err := editor.NewImportCheck().Admit(ctx, c.setting, c.value); code(err) != c.want {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
		check := editor.NewImportCheck()
		for i, want := range []tally.Code{"", tally.CodeBadTopic} {
			if err := check.Admit(ctx, fmt.Sprint("former blog/likes/a-", i), fmt.Sprintf(`["blog/likes/b-%d"]`, i)); code(err) != want {
				t.Errorf("alias %d of one import: %v, want %q", i+1, err, want)
			}
		}
		one, two, three := newTopic("likes"), newTopic("likes"), newTopic("likes")
		for _, each := range []tally.Topic{one, two, three} {
			o.like(t, each, "visitor-1")
		}
		if _, err := o.Merge(ctx, "test", []tally.Topic{one}, full); code(err) != tally.CodeBadTopic {
			t.Errorf("a merge into a topic with 1,000 aliases: %v", err)
		}
		if _, err := o.Merge(ctx, "test", []tally.Topic{one}, two); err != nil {
			t.Errorf("a merge that adds alias 50,000: %v", err)
		}
		if _, err := o.Merge(ctx, "test", []tally.Topic{two}, three); code(err) != tally.CodeBadTopic {
			t.Errorf("a merge that adds alias 50,001: %v", err)
		}
		o.counts(t, three, 1)
	})
}

// The settings that an import stores later, in a batch, count as well.
func TestImportCheck_BeforeBatchIsStored(t *testing.T) {
	check := open(onSQLite(t).first).NewImportCheck()
	full := topic("blog/likes/full")
	admit := func(to tally.Topic, n int) error {
		var aliases []tally.Topic
		for range n {
			aliases = append(aliases, newTopic("likes"))
		}
		name, value := tally.AliasSetting(to, aliases)
		return check.Admit(t.Context(), name, value)
	}
	if err := admit(full, 1000); err != nil {
		t.Fatal(err)
	}
	for range 150 { // more than between two reads of the settings
		if err := admit(newTopic("likes"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := admit(full, 1); code(err) != tally.CodeBadTopic {
		t.Errorf("alias 1,001: %v", err)
	}
}

// A long import reads the settings a few times more as they grow, and not for each hundred of them.
func TestImportCheck_Reads(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		store := &countedSettings{fullStore: w.first}
		check := openWith(store, owner.Options{}).NewImportCheck()
		const aliases = 4000
		added := map[string]string{}
		for i := range aliases {
			name, value := tally.AliasSetting(topic(fmt.Sprint("blog/likes/to-", i)), []tally.Topic{topic(fmt.Sprint("blog/likes/from-", i))})
			if err := check.Admit(t.Context(), name, value); err != nil {
				t.Fatal(err)
			}
			if added[name] = value; len(added) == 100 {
				if _, err := w.first.SwapSettings(t.Context(), nil, added); err != nil {
					t.Fatal(err)
				}
				clear(added)
			}
		}
		if read := store.read.Load(); read > 10*aliases {
			t.Errorf("an import of %d aliases read %d settings", aliases, read)
		}
	})
}
