package tally_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

func mustTopic(t *testing.T, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// serviceWith returns a service that follows the stored settings, and the error of those
// that cannot be parsed.
func serviceWith(t *testing.T, stored map[string]string) (*tally.Service, *slowStore, error) {
	t.Helper()
	store := newSlowStore(0)
	store.stored = stored
	service := newService(store)
	_, invalid, err := service.LoadSettings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return service, store, invalid
}

func codeOf(err error) tally.Code {
	if err == nil {
		return ""
	}
	return tally.AsError(err).Code
}

func assertFrom(t *testing.T, service *tally.Service, visitor, client string) tally.Code {
	t.Helper()
	a := tally.Assertion{Topic: mustTopic(t, "blog/likes/a"), Visitor: visitor, Amount: 1, MayCreate: true}
	if client != "" {
		a.Client = netip.MustParseAddr(client)
	}
	_, err := service.Assert(t.Context(), a)
	return codeOf(err)
}

func TestService_Blocks(t *testing.T) {
	secret := []byte("0123456789abcdef")
	stored := map[string]string{
		tally.BlockRange("", netip.MustParsePrefix("203.0.113.0/24")).Setting(): "robots",
		tally.BlockRange("", netip.MustParsePrefix("2001:db8::/32")).Setting():  "robots",
		tally.BlockVisitor(secret, "", "someone-1").Setting():                   "a robot",
	}
	service, store, err := serviceWith(t, stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range []struct {
		visitor, client string
		want            tally.Code
	}{
		{"someone-2", "203.0.113.255", tally.CodeBlocked},
		{"someone-2", "203.0.114.0", ""},
		{"someone-2", "2001:db8:ffff::1", tally.CodeBlocked},
		{"someone-2", "", ""}, // one of the owner's servers
		{"someone-1", "192.0.2.1", tally.CodeBlocked},
		{"someone-1", "", tally.CodeBlocked},
		{"someone-11", "192.0.2.1", ""},
	} {
		if got := assertFrom(t, service, try.visitor, try.client); got != try.want {
			t.Errorf("%s from %q: %q, want %q", try.visitor, try.client, got, try.want)
		}
	}
	blocks := tally.Blocks(stored)
	if len(blocks) != 3 || blocks[tally.Block{Target: "range 203.0.113.0/24"}] != "robots" {
		t.Errorf("blocks: %v", blocks)
	}
	for name := range stored {
		if strings.Contains(name, "someone") {
			t.Errorf("the name of a setting contains a visitor: %q", name)
		}
	}
	store.stored = nil
	if _, _, err := service.LoadSettings(t.Context()); err != nil || assertFrom(t, service, "someone-1", "203.0.113.1") != "" {
		t.Errorf("removed settings are in use (%v)", err)
	}
}

// A block in one site leaves the others open.
func TestService_BlocksOfSite(t *testing.T) {
	secret := []byte("0123456789abcdef")
	stored := map[string]string{
		tally.BlockRange("docs", netip.MustParsePrefix("203.0.113.0/24")).Setting(): "robots",
		tally.BlockVisitor(secret, "docs", "someone-1").Setting():                   "a robot",
		tally.BlockVisitor(secret, "blog", "someone-2").Setting():                   "a robot",
		"block site blog newer 7":                                                   "a target of a later release",
		"block site NO range 0.0.0.0/0":                                             "no site",
	}
	service, _, err := serviceWith(t, stored)
	if err != nil {
		t.Fatal(err)
	}
	for visitor, want := range map[string]tally.Code{"someone-1": "", "someone-2": tally.CodeBlocked} {
		if got := assertFrom(t, service, visitor, "203.0.113.9"); got != want {
			t.Errorf("%s in blog: %q, want %q", visitor, got, want)
		}
	}
	for name, want := range map[string]string{
		"block site docs range 203.0.113.0/24": "docs", "block range 203.0.113.0/24": "", "block site NO range ::/0": "",
		"former blog/likes/a": "blog", "alias mark blog/likes/a": "blog", "claim blog/likes/a": "blog", "token a": "", "session a": "",
	} {
		if got := tally.SettingSite(name); got != want {
			t.Errorf("the setting %q concerns %q, want %q", name, got, want)
		}
	}
}

// The service follows the valid settings beside invalid ones.
func TestService_InvalidSettings(t *testing.T) {
	name, value := tally.AliasSetting(mustTopic(t, "blog/likes/new"), []tally.Topic{mustTopic(t, "blog/likes/old")})
	service, _, err := serviceWith(t, map[string]string{
		"block range 203.0.113.0": "no range",
		"former nothing":          "[]",
		"former blog/likes/x":     "{}",
		"former blog/likes/y":     `["blog/likes/old","nothing"]`,
		"merging a":               "of an older release", "": "", "seed": "1",
		name: value,
	})
	if err == nil {
		t.Fatal("no error names the invalid settings")
	}
	for _, name := range []string{"203.0.113.0", "former nothing", "likes/x", "likes/y"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "merging") {
		t.Errorf("a setting of another kind is named: %v", err)
	}
	if got := service.Aliases(mustTopic(t, "blog/likes/new")); len(got) != 1 || got[0] != mustTopic(t, "blog/likes/old") {
		t.Errorf("aliases: %v", got)
	}
}

// Aliases that were read from an invalid setting end with it.
func TestService_InvalidAliasesRemoved(t *testing.T) {
	const name = "former blog/likes/y"
	service, store, err := serviceWith(t, map[string]string{name: `["blog/likes/old","nothing"]`})
	if y := mustTopic(t, "blog/likes/y"); err == nil || len(service.Aliases(y)) != 1 {
		t.Fatalf("aliases %v, error %v", service.Aliases(y), err)
	}
	store.stored = map[string]string{name: ""}
	if _, invalid, err := service.LoadSettings(t.Context()); invalid != nil || err != nil {
		t.Fatal(invalid, err)
	}
	if got := service.Aliases(mustTopic(t, "blog/likes/y")); len(got) != 0 || service.SiteAliases("blog") != 0 {
		t.Errorf("aliases %v, of the site %d", got, service.SiteAliases("blog"))
	}
}
