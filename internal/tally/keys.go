package tally

import "sync/atomic"

// alwaysKnown are the keys that the widgets use for a site as a whole.
var alwaysKnown = map[string]bool{"site": true, "index": true}

// KnownKeys says which topics visitors may bring into being. On a site that has known
// keys those are the topics of the keys that were set; everywhere else all are. What
// exists already, whoever made it, takes contributions in any case. A nil Keys
// admits everything. It is safe for concurrent use.
type KnownKeys struct {
	sites map[string]*atomic.Pointer[map[string]bool] // fixed after construction
}

// NewKnownKeys returns the keys of the sites that have known keys, none known yet but
// those of the site as a whole.
func NewKnownKeys(sites ...string) *KnownKeys {
	k := &KnownKeys{sites: map[string]*atomic.Pointer[map[string]bool]{}}
	for _, site := range sites {
		k.sites[site] = &atomic.Pointer[map[string]bool]{}
	}
	return k
}

// Set replaces the known keys of a site that has some. keys are valid, and not
// changed afterwards.
func (k *KnownKeys) Set(site string, keys map[string]bool) { k.sites[site].Store(&keys) }

// Contains reports whether the known keys of the topic's site, which a site map gives, have
// its key. isKnown is false if no keys are known of the site.
func (k *KnownKeys) Contains(topic Topic) (isListed, isKnown bool) {
	if k == nil || k.sites[topic.Site()] == nil {
		return false, false
	}
	known := k.sites[topic.Site()].Load()
	return alwaysKnown[topic.Key()] || known != nil && (*known)[topic.Key()], known != nil
}

// MayCreate tells whether a visitor may bring topic into being.
func (k *KnownKeys) MayCreate(topic Topic) bool {
	if k == nil {
		return true
	}
	known := k.sites[topic.Site()]
	if known == nil || alwaysKnown[topic.Key()] {
		return true
	}
	keys := known.Load()
	return keys != nil && (*keys)[topic.Key()]
}
