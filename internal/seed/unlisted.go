package seed

import (
	"cmp"
	"fmt"
	"slices"
)

// Unlisted are the seeded pages of a site that are not in its sitemap.
type Unlisted struct {
	Site    string
	Pages   int    // number of seeded pages of the site
	Missing []Seed // those that are not in the sitemap, one for each page, sorted by key
}

// FindUnlisted returns the seeded pages that are not listed in a sitemap, by site. Topics of one key are
// one page. It omits sites whose pages are all listed.
func FindUnlisted(seeds []Seed, isListed func(Seed) bool) (all []Unlisted) {
	seeds = slices.Clone(seeds)
	slices.SortFunc(seeds, func(a, b Seed) int {
		x, y := a.Topic, b.Topic
		return cmp.Or(cmp.Compare(x.Site(), y.Site()), cmp.Compare(x.Key(), y.Key()), cmp.Compare(x.Metric(), y.Metric()))
	})
	isSamePage := func(a, b Seed) bool { return a.Topic.Site() == b.Topic.Site() && a.Topic.Key() == b.Topic.Key() }
	for _, each := range slices.CompactFunc(seeds, isSamePage) {
		if len(all) == 0 || all[len(all)-1].Site != each.Topic.Site() {
			all = append(all, Unlisted{Site: each.Topic.Site()})
		}
		site := &all[len(all)-1]
		if site.Pages++; !isListed(each) {
			site.Missing = append(site.Missing, each)
		}
	}
	return slices.DeleteFunc(all, func(site Unlisted) bool { return len(site.Missing) == 0 })
}

// maxExamples bounds the keys that a warning names.
const maxExamples = 5

// Examples returns the keys of the first missing pages with their places.
func (u Unlisted) Examples() (all []string) {
	for _, each := range u.Missing[:min(len(u.Missing), maxExamples)] {
		all = append(all, fmt.Sprintf("%s (%s:%d)", each.Topic.Key(), each.File, each.Line))
	}
	return all
}
