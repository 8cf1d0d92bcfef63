package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/tally"
)

// Sites are the allowed origins of each site's pages, by site name. The site default is
// always present.
type Sites map[string][]string

// Names returns the sites' names: default first, the others sorted.
func (s Sites) Names() []string {
	names := []string{tally.DefaultSite}
	for name := range s {
		if name != tally.DefaultSite {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names
}

// KnownSites are the sites that accept new topics only for known keys, with the addresses
// of their sitemaps, if any.
type KnownSites map[string][]string

// Names returns the sites' names, sorted.
func (k KnownSites) Names() []string { return slices.Sorted(maps.Keys(k)) }

// Texts that may follow a site's name instead of an origin.
const (
	knownKeys      = "keys=known"
	signedVisitors = "visitors=signed"
	sitemapPrefix  = "sitemap="
)

// parseSites parses items of the form name=origin, name=keys=known, name=visitors=signed,
// name=sitemap=URL, name or origin. An origin, keys=known or visitors=signed alone belongs to
// the site before it, so that blog=https://a,https://b is one site in a flag, a variable and
// a list.
func (c *Config) parseSites(r *Reader, setting string) {
	c.Sites, c.KnownKeys, c.SignedSites = Sites{tally.DefaultSite: nil}, KnownSites{}, map[string]bool{}
	current := ""
	for _, item := range r.texts(setting) {
		name, origin, hasOrigin := strings.Cut(item, "=")
		switch {
		case (item == knownKeys || item == signedVisitors) && current != "":
			origin = item
		case hasOrigin:
			current = name
		case item == "*" || strings.Contains(item, "://"):
			origin, hasOrigin = item, true
		default:
			current = item
		}
		if !tally.ValidSite(current) {
			r.Reject(setting, fmt.Errorf("%q should be name=origin, such as blog=https://blog.example.com, name=keys=known, name=visitors=signed or name=sitemap=URL; a name is 1 to 32 of a-z, 0-9 and -, and none of counts, stream, ws, top, admin, history", item))
			continue
		}
		c.Sites[current] = append(c.Sites[current], nil...) // without an origin
		sitemap, isSitemap := strings.CutPrefix(origin, sitemapPrefix)
		var err error
		switch {
		case !hasOrigin:
		case origin == knownKeys:
			c.KnownKeys[current] = append(c.KnownKeys[current], nil...) // without a sitemap
		case origin == signedVisitors:
			c.SignedSites[current] = true
		case isSitemap:
			sitemap, err = ParseSitemap(sitemap)
			c.KnownKeys[current] = append(c.KnownKeys[current], sitemap)
		case strings.HasPrefix(origin, "visitors="):
			err = fmt.Errorf("%q should be %s; without it everybody may contribute", origin, signedVisitors)
		default:
			err = c.Sites.add(current, origin)
		}
		if err != nil {
			r.Reject(setting, err)
		}
	}
}

// parseOrigins parses the origins of the site default.
func (c *Config) parseOrigins(r *Reader, setting string) {
	for _, item := range r.texts(setting) {
		if err := c.Sites.add(tally.DefaultSite, item); err != nil {
			r.Reject(setting, err)
		}
	}
}

// ParseSitemap parses the address of a sitemap.
func ParseSitemap(text string) (string, error) {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || at.User != nil || at.Fragment != "" {
		return "", fmt.Errorf("%q should be the address of a sitemap, such as https://blog.example.com/sitemap.xml", text)
	}
	return at.String(), nil
}

// add parses an origin and appends it to a site unless it is there.
func (s Sites) add(site, text string) error {
	origin, err := parseOrigin(text)
	if err == nil && !slices.Contains(s[site], origin) {
		s[site] = append(s[site], origin)
	}
	return err
}

// parseOrigin parses scheme://host[:port], "*." before a host for all its subdomains, or
// "*" for any origin. It returns the origin as browsers send it: lower case, without the
// scheme's default port (RFC 6454, section 6).
func parseOrigin(text string) (string, error) {
	if text == "*" {
		return text, nil
	}
	reject := func(why string) (string, error) {
		return "", fmt.Errorf("%q should be an origin such as https://blog.example.com, https://*.example.com or *%s", text, why)
	}
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(text, "/")))
	if err != nil || u.Host == "" {
		return reject("")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return reject(": its scheme is http or https")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return reject(": nothing follows the host and port")
	}
	plain := strings.TrimPrefix(u.Hostname(), "*.")
	if plain == "" || strings.ContainsAny(plain, "*% ,;\"'\\") || strings.HasPrefix(plain, ".") {
		return reject("")
	}
	if strings.IndexFunc(plain, func(r rune) bool { return r > 0x7e }) >= 0 {
		return reject(": browsers send such a name in its xn-- form")
	}
	if strings.HasSuffix(u.Host, ":") {
		return reject("")
	}
	if n, err := strconv.ParseUint(cmp.Or(u.Port(), "1"), 10, 16); err != nil || n == 0 {
		return reject(": there is no such port")
	}
	usualPort := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(u.Host, usualPort), nil
}

// parseMetrics parses items of the form name=rule and returns all metrics, the default
// ones included.
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

// ParseSiteName parses the name of a site.
func ParseSiteName(text string) (string, error) {
	if !tally.ValidSite(text) {
		return "", fmt.Errorf("%q should be the name of a site, such as blog", text)
	}
	return text, nil
}

// parseSeedPaths checks that folders and files exist.
func parseSeedPaths(items []string) ([]string, error) {
	var problems []error
	for _, item := range items {
		if _, err := os.Stat(item); err != nil {
			problems = append(problems, fmt.Errorf("%s should be a folder or a file: %w", item, plaintext.FileError(err)))
		}
	}
	return items, errors.Join(problems...)
}

// parseKeyPrefix parses the beginning of a key.
func parseKeyPrefix(text string) (string, error) {
	const site, metric = "default", "likes" // any will do
	if _, err := tally.NewTopic(site, metric, text+"/x"); err != nil {
		return "", fmt.Errorf("%q should be the beginning of a key, such as posts: %s", text, tally.AsError(err).Message)
	}
	return text, nil
}
