// Package sitemap reads the site maps of a site (sitemaps.org) and derives the keys of its
// pages, so that the service can refuse counts for pages that do not exist. The server
// follows site maps; commands read them once.
//
// Site maps are untrusted input. Redirects and indexes lead to hosts of the site only. Files,
// tokens, depth and pages are bounded. Skipped addresses are logged. If a file cannot be
// fetched or read, its last known pages remain.
package sitemap
