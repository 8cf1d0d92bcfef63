package tally

import "sync/atomic"

// alwaysKnown are the keys that the elements use for counts of a whole site.
var alwaysKnown = map[string]bool{"site": true, "index": true}

// KnownKeys restricts which topics visitors may create on sites that have a list of known
// keys, such as a sitemap. Other sites are not restricted, and existing topics always
// take contributions. A nil KnownKeys restricts nothing. It is safe for concurrent use.
type KnownKeys struct {
	sites map[string]*atomic.Pointer[map[string]bool] // fixed after construction
}

// NewKnownKeys returns the keys of the restricted sites, whose lists are empty until Set.
func NewKnownKeys(sites ...string) *KnownKeys {
	k := &KnownKeys{sites: map[string]*atomic.Pointer[map[string]bool]{}}
	for _, site := range sites {
		k.sites[site] = &atomic.Pointer[map[string]bool]{}
	}
	return k
}

// Set replaces the known keys of a restricted site. The caller does not change keys
// afterwards.
func (k *KnownKeys) Set(site string, keys map[string]bool) { k.sites[site].Store(&keys) }

// Contains reports whether the list of the topic's site has its key, and whether there is a
// list: a site may have none yet, or not be restricted.
func (k *KnownKeys) Contains(topic Topic) (isListed, hasList bool) {
	if k == nil || k.sites[topic.Site()] == nil {
		return false, false
	}
	known := k.sites[topic.Site()].Load()
	return alwaysKnown[topic.Key()] || known != nil && (*known)[topic.Key()], known != nil
}

// MayCreate reports whether a visitor may create topic.
func (k *KnownKeys) MayCreate(topic Topic) bool {
	if k == nil || k.sites[topic.Site()] == nil {
		return true
	}
	isListed, _ := k.Contains(topic)
	return isListed
}
