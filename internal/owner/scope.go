package owner

import (
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Within returns a Service that sees only the declared sites of access, and treats other sites as if
// they did not exist. It shares everything else with s. For the access of the admin token it returns
// s.
func (s *Service) Within(access Access) *Service {
	if access.Role == Admin {
		return s
	}
	part := *s
	part.sites = slices.DeleteFunc(slices.Clone(access.Sites), func(site string) bool {
		return !slices.Contains(s.catalog.Sites(), site)
	})
	slices.Sort(part.sites)
	part.sites = append([]string{}, slices.Compact(part.sites)...) // not nil, which is all sites
	part.catalog = s.catalog.Within(part.sites)
	part.store = siteStore{all: s.store, sites: part.sites, showsAddresses: access.Role.May(Editor)}
	return &part
}

// Catalog returns the sites that the Service sees, and all metrics.
func (s *Service) Catalog() *tally.Catalog { return s.catalog }

// Store returns the part of the store that the Service sees.
func (s *Service) Store() Store { return s.store }

// sees reports whether the Service sees a site.
func (s *Service) sees(site string) bool { return s.sites == nil || slices.Contains(s.sites, site) }

// checkSite returns an error if the site is unknown. Errors: [tally.CodeUnknownSite].
func (s *Service) checkSite(site string) error {
	if s.sees(site) && slices.Contains(s.catalog.Sites(), site) {
		return nil
	}
	return errUnknownSite(site)
}

// errUnknownSite returns the error about a site that does not exist or that a Service does not see.
func errUnknownSite(site string) error {
	return tally.Errorf(tally.CodeUnknownSite, "there is no site %.60q here; --site declares one", site)
}

// sitesOf returns the sites of scopes in the form of audit entries: sorted, with spaces between them,
// or empty if a scope contains all sites.
func sitesOf(scopes ...tally.Scope) string {
	var sites []string
	for _, scope := range scopes {
		if scope.Site == "" {
			return ""
		}
		sites = append(sites, scope.Site)
	}
	slices.Sort(sites)
	return strings.Join(slices.Compact(sites), " ")
}
