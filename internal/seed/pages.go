package seed

import (
	"fmt"
	"slices"
	"strings"
)

// Pages holds one seed for each page, whatever its metric. The zero value is empty.
type Pages map[page]Seed

// page is a key of a site.
type page struct{ site, key string }

// Add adds a seed unless its page has one.
func (p *Pages) Add(each Seed) {
	if *p == nil {
		*p = Pages{}
	}
	at := page{each.Topic.Site(), each.Topic.Key()}
	if _, known := (*p)[at]; !known {
		(*p)[at] = each
	}
}

// BySite returns the seeds of each site, sorted by key.
func (p Pages) BySite() map[string][]Seed {
	all := map[string][]Seed{}
	for at, each := range p {
		all[at.site] = append(all[at.site], each)
	}
	for _, seeds := range all {
		slices.SortFunc(seeds, func(a, b Seed) int { return strings.Compare(a.Topic.Key(), b.Topic.Key()) })
	}
	return all
}

// maxExamples bounds the keys that a warning names.
const maxExamples = 5

// Examples returns the keys of the first seeds with their places.
func Examples(seeds []Seed) (all []string) {
	for _, each := range seeds[:min(len(seeds), maxExamples)] {
		all = append(all, fmt.Sprintf("%s (%s:%d)", each.Topic.Key(), each.File, each.Line))
	}
	return all
}
