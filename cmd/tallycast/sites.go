package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// sites are the origins of each site's pages, by the site's name. The site
// default is always among them.
type sites map[string][]string

// names returns the sites' names, default first, the others sorted.
func (s sites) names() []string {
	names := []string{tally.DefaultSite}
	for name := range s {
		if name != tally.DefaultSite {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names
}

// siteSettings is what --site says.
type siteSettings struct {
	origins sites
	known   knownSites
}

// knownSites are the sites that take new topics for known keys alone, with the
// addresses of their site maps, which may be none.
type knownSites map[string][]string

// names returns the sites' names, sorted.
func (k knownSites) names() []string { return slices.Sorted(maps.Keys(k)) }

// What may follow a site's name beside an origin.
const (
	knownKeys   = "keys=known"
	fromSitemap = "sitemap="
)

// parseSites reads items of the form name=origin, name, or origin; an origin
// alone belongs to the site before it, so that blog=https://a,https://b is one
// site whether it came as a flag, a variable or a list. name=keys=known and
// name=sitemap=https://… say which topics the site takes; keys=known alone belongs to
// the site before it, too.
func parseSites(items []string) (siteSettings, error) {
	all := sites{tally.DefaultSite: nil}
	known := knownSites{}
	var problems []error
	current := ""
	for _, item := range items {
		name, origin, hasOrigin := strings.Cut(item, "=")
		switch {
		case item == knownKeys && current != "":
			origin = knownKeys
		case hasOrigin:
			current = name
		case item == "*" || strings.Contains(item, "://"):
			origin, hasOrigin = item, true
		default:
			current = item
		}
		if !tally.ValidSite(current) {
			problems = append(problems, fmt.Errorf("%q should be name=origin, such as blog=https://blog.example.com, name=keys=known or name=sitemap=URL; a name is 1 to 32 of a-z, 0-9 and -, and none of counts, stream, ws, top, admin", item))
			continue
		}
		if _, ok := all[current]; !ok {
			all[current] = nil
		}
		sitemap, isSitemap := strings.CutPrefix(origin, fromSitemap)
		switch {
		case !hasOrigin:
			continue
		case origin == knownKeys:
			known[current] = append(known[current], nil...) // there, if without site maps
			continue
		case isSitemap:
			at, err := parseSitemap(sitemap)
			if err != nil {
				problems = append(problems, err)
			}
			known[current] = append(known[current], at)
			continue
		}
		clean, err := parseOrigin(origin)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all.add(current, clean)
	}
	return siteSettings{all, known}, errors.Join(problems...)
}

// parseSitemap reads the address of a site map.
func parseSitemap(text string) (string, error) {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || at.User != nil || at.Fragment != "" {
		return "", fmt.Errorf("%q should be the address of a site map, such as https://blog.example.com/sitemap.xml", text)
	}
	return at.String(), nil
}

// add appends an origin to a site unless it is there.
func (s sites) add(site, origin string) {
	if !slices.Contains(s[site], origin) {
		s[site] = append(s[site], origin)
	}
}

// parseOrigins reads the origins of one site.
func parseOrigins(items []string) ([]string, error) {
	var origins []string
	var problems []error
	for _, item := range items {
		origin, err := parseOrigin(item)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		origins = append(origins, origin)
	}
	return origins, errors.Join(problems...)
}

// parseOrigin reads scheme://host[:port], with "*." before a host for all
// below it, or "*" for any, and returns it as browsers send it: lower case,
// without the scheme's own port (RFC 6454, section 6).
func parseOrigin(text string) (string, error) {
	if text == "*" {
		return text, nil
	}
	wrong := func(why string) (string, error) {
		return "", fmt.Errorf("%q should be an origin such as https://blog.example.com, https://*.example.com or *%s", text, why)
	}
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(text, "/")))
	if err != nil || u.Host == "" {
		return wrong("")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return wrong(": its scheme is http or https")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return wrong(": nothing follows the host and port")
	}
	host := u.Hostname()
	plain, _ := strings.CutPrefix(host, "*.")
	if plain == "" || strings.ContainsAny(plain, "*% ,;\"'\\") || strings.HasPrefix(plain, ".") {
		return wrong("")
	}
	if strings.IndexFunc(plain, func(r rune) bool { return r > 0x7e }) >= 0 {
		return wrong(": browsers send such a name in its xn-- form")
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return wrong("")
	}
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return wrong(": there is no such port")
		}
	}
	if port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		port = ""
	}
	switch {
	case port != "":
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host, nil
}

// replacedMetric is a default metric whose rule the configuration replaces.
type replacedMetric struct {
	name         string
	rule, before tally.Rule
}

// replacedMetrics returns the default metrics that have another rule in metrics, by name.
func replacedMetrics(metrics map[string]tally.Rule) (all []replacedMetric) {
	defaults := tally.DefaultMetrics()
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if rule := metrics[name]; rule != defaults[name] {
			all = append(all, replacedMetric{name, rule, defaults[name]})
		}
	}
	return all
}

// parseMetrics reads items of the form name=rule and returns all metrics, those
// that exist by default included.
func parseMetrics(items []string) (map[string]tally.Rule, error) {
	metrics := tally.DefaultMetrics()
	var problems []error
	seen := map[string]bool{}
	for _, item := range items {
		name, text, ok := strings.Cut(item, "=")
		if !ok || !tally.ValidMetric(name) {
			problems = append(problems, fmt.Errorf("%q should be name=rule, such as stars=amount:5; a name is 1 to 32 of a-z, 0-9 and _ and begins with a letter", item))
			continue
		}
		rule, err := tally.ParseRule(text)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		case seen[name]:
			problems = append(problems, fmt.Errorf("%s is declared twice", name))
		}
		seen[name] = true
		metrics[name] = rule
	}
	return metrics, errors.Join(problems...)
}
