package tally_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

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

// ordered returns a service that obeys the register, and what it says of it.
func ordered(register map[string]string) (*tally.Service, error) {
	service := newService(newSlowStore(0))
	return service, service.Obey(register)
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

func TestBlockedRangesAndVisitorsMayNotContribute(t *testing.T) {
	secret := []byte("0123456789abcdef")
	register := map[string]string{
		tally.BlockRangeOrder(netip.MustParsePrefix("203.0.113.0/24")): "robots",
		tally.BlockRangeOrder(netip.MustParsePrefix("2001:db8::/32")):  "robots",
		tally.BlockVisitorOrder(secret, "someone-1"):                   "a robot",
	}
	service, err := ordered(register)
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
		{"someone-2", "", ""}, // an own server
		{"someone-1", "192.0.2.1", tally.CodeBlocked},
		{"someone-1", "", tally.CodeBlocked},
		{"someone-11", "192.0.2.1", ""},
	} {
		if got := assertFrom(t, service, try.visitor, try.client); got != try.want {
			t.Errorf("%s from %q is told %q, want %q", try.visitor, try.client, got, try.want)
		}
	}
	blocks := tally.Blocks(register)
	if len(blocks) != 3 || blocks["range 203.0.113.0/24"] != "robots" {
		t.Errorf("blocks: %v", blocks)
	}
	for name := range register {
		if strings.Contains(name, "someone") {
			t.Errorf("the register tells who is blocked: %q", name)
		}
	}
	if err := service.Obey(nil); err != nil || assertFrom(t, service, "someone-1", "203.0.113.1") != "" {
		t.Errorf("orders that were taken back are followed still (%v)", err)
	}
}

func TestOrdersThatCannotBeReadDoNotKeepOthersFromBeingFollowed(t *testing.T) {
	pause, until := tally.PauseOrder(mustTopic(t, "blog/likes/a"), time.Now().Add(time.Hour))
	former, names := tally.FormerOrder(mustTopic(t, "blog/likes/new"), []tally.Topic{mustTopic(t, "blog/likes/old")})
	service, err := ordered(map[string]string{
		"block range 203.0.113.0": "no range",
		"former nothing":          "[]",
		"former blog/likes/x":     "{}",
		"former blog/likes/y":     `["blog/likes/old","nothing"]`,
		"pause blog/likes/z":      "soon",
		"merging a":               "of others", "": "", "seed": "1",
		pause: until, former: names,
	})
	if err == nil {
		t.Fatal("nothing is said of the orders that cannot be read")
	}
	for _, name := range []string{"203.0.113.0", "former nothing", "likes/x", "likes/y", "likes/z"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "merging") {
		t.Errorf("an entry that is no order is: %v", err)
	}
	if got := service.Former(mustTopic(t, "blog/likes/new")); len(got) != 1 || got[0] != mustTopic(t, "blog/likes/old") {
		t.Errorf("former names: %v", got)
	}
	if got := assertFrom(t, service, "someone-1", ""); got != tally.CodeStoreUnavailable {
		t.Errorf("a paused topic answers %q", got)
	}
}

func TestAPauseEndsByItself(t *testing.T) {
	topic := mustTopic(t, "blog/likes/a")
	name, value := tally.PauseOrder(topic, time.Now().Add(-time.Millisecond))
	service, err := ordered(map[string]string{name: value})
	if err != nil || service.Paused(topic) != nil || assertFrom(t, service, "someone-1", "") != "" {
		t.Errorf("a pause that is over holds: %v, %v", err, service.Paused(topic))
	}
	name, value = tally.PauseOrder(topic, time.Now().Add(time.Hour))
	if err := service.Obey(map[string]string{name: value}); err != nil {
		t.Fatal(err)
	}
	if e := tally.AsError(service.Paused(topic)); e.Code != tally.CodeStoreUnavailable || e.RetryAfter <= 0 {
		t.Errorf("a pause is told as %+v", e)
	}
}
