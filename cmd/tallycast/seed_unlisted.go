package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/tally"
)

// siteKey is a key of a site.
type siteKey struct{ site, key string }

// pageSeeds holds one seed for each page, whatever its metric.
type pageSeeds map[siteKey]seed.Seed

func (p *pageSeeds) add(each seed.Seed) {
	if *p == nil {
		*p = pageSeeds{}
	}
	at := siteKey{each.Topic.Site(), each.Topic.Key()}
	if _, known := (*p)[at]; !known {
		(*p)[at] = each
	}
}

// bySite returns the seeds of each site in the order of their keys.
func (p pageSeeds) bySite() map[string][]seed.Seed {
	all := map[string][]seed.Seed{}
	for at, each := range p {
		all[at.site] = append(all[at.site], each)
	}
	for _, seeds := range all {
		slices.SortFunc(seeds, func(a, b seed.Seed) int { return strings.Compare(a.Topic.Key(), b.Topic.Key()) })
	}
	return all
}

// maxExamples bounds the keys that a warning names.
const maxExamples = 5

// examples names the first seeds with their places.
func examples(seeds []seed.Seed) (all []string) {
	for _, each := range seeds[:min(len(seeds), maxExamples)] {
		all = append(all, fmt.Sprintf("%s (%s:%d)", each.Topic.Key(), each.File, each.Line))
	}
	return all
}

// knownPages are the keys in the site maps that --sitemap names; nil without any.
type knownPages map[string]bool

// readSitemaps reads the site maps at addresses, each a URL or a file of a built site.
func (p *process) readSitemaps(addresses []string) (knownPages, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	version, _ := build()
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	all := knownPages{}
	for _, address := range addresses {
		keys, err := sitemap.Read(p.ctx, address, sitemap.Options{Agent: "tallycast/" + version, Log: log})
		if err != nil {
			return nil, err
		}
		for key := range keys {
			all[key] = true
		}
	}
	return all, nil
}

// lacks reports whether site maps are known, and have no page for a topic.
func (k knownPages) lacks(topic tally.Topic) bool {
	return k != nil && !k[topic.Key()] && topic.Key() != "index" && topic.Key() != "site"
}

// warnUnlisted says which of the seeds are of pages that are not in the site map.
func warnUnlisted(out io.Writer, done []sown, known knownPages) {
	var all, missing pageSeeds
	for _, each := range done {
		all.add(each.Seed)
		if each.unlisted || known.lacks(each.Topic) {
			missing.add(each.Seed)
		}
	}
	sites := missing.bySite()
	for site, seeds := range all.bySite() {
		if lacking := sites[site]; len(lacking) > 0 {
			fmt.Fprintf(out, "%d of %s of the site %s not in the site map, so that no page may show them: %s\n",
				len(lacking), counted(len(seeds), "key"), printable(site)+isOrAre(len(lacking)), printable(strings.Join(examples(lacking), ", ")))
		}
	}
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// parseSitemapPlaces reads addresses of site maps, or paths of files.
func parseSitemapPlaces(items []string) ([]string, error) {
	for _, item := range items {
		if u, err := url.Parse(item); err == nil && u.Scheme != "" && u.Host != "" {
			if _, err := parseSitemap(item); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}
