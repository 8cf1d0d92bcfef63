package api

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// A client address begins at most as many histories by being present as it may create topics, and
// those of known pages alone.
func TestWatcher_MayRecord(t *testing.T) {
	known := tally.NewKnownKeys("wiki")
	known.Set("wiki", map[string]bool{"known": true})
	r := newRig(t, func(o *Options) {
		o.Keys, o.PresenceLimits = known, ratelimit.New(ratelimit.Limits{NewTopics: hourly(3)}, nil)
	})
	mayRecord := func(address string, isTrusted bool, name string) bool {
		topic, err := tally.ParseTopic(name)
		if err != nil {
			t.Fatal(err)
		}
		c := caller{api: r.api, client: clientInfo{address: netip.MustParseAddr(address)}, isTrusted: isTrusted}
		return newWatcher(&c, "").MayRecord(topic)
	}
	allowed := func(address string, isTrusted bool) (n int) {
		for i := range 100 {
			if mayRecord(address, isTrusted, fmt.Sprintf("blog/readers/page-%d", i)) {
				n++
			}
		}
		return n
	}
	for range 10 {
		if mayRecord("192.0.2.1", false, "wiki/readers/unknown") {
			t.Fatal("a page that is not known gets a history")
		}
	}
	if !mayRecord("192.0.2.1", false, "wiki/readers/known") {
		t.Error("a known page gets no history")
	}
	if n := allowed("192.0.2.1", false); n != 2 {
		t.Errorf("an address with an allowance of 3 began %d histories after the first", n)
	}
	if n := allowed("192.0.2.2", false); n != 3 {
		t.Errorf("another address began %d histories", n)
	}
	if n := allowed("192.0.2.1", true); n != 100 {
		t.Errorf("a server began %d histories", n)
	}
}
