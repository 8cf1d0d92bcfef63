package api

import (
	"testing"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/tally"
)

// On a site with known keys visitors create no topics, and attempts use up no limit.
func TestKnownKeys_Unknown(t *testing.T) {
	keys := tally.NewKnownKeys("blog")
	keys.Set("blog", map[string]bool{"known": true})
	o := newOwnerRig(t, func(options *Options, _ *admin.Options) {
		options.Keys = keys
		options.Limits = limits(1_000_000, 0, 3)
	})
	like := func(topic string, header ...string) answer {
		return o.do("POST", "/v1/"+topic, `{"visitor":"visitor-0001"}`, header...)
	}
	for range 5 {
		like("blog/likes/unknown").hasError(404, tally.CodeUnknownKey).contains("unknown")
	}
	for _, topic := range []string{"blog/likes/known", "blog/likes/site", "wiki/likes/anything"} { // three new topics: the limit is whole
		like(topic).hasStatus(200)
	}
	like("wiki/likes/one-more").hasError(429, tally.CodeRateLimited)
	like("blog/likes/by-token", "Authorization", "Bearer "+serverToken).hasStatus(200)
	like("blog/likes/by-token").hasStatus(200)
	o.own("PATCH", "topics/blog/likes/seeded", `{"seed":7}`).hasStatus(200)
	like("blog/likes/seeded").hasStatus(200).contains(`"count":8`)
	like("blog/likes/unknown").hasError(404, tally.CodeUnknownKey)
	o.do("GET", "/v1/blog/likes/unknown", "").hasStatus(200).contains(`"count":0`)
}
