// Package sitemap reads the sitemaps of a site (sitemaps.org) and derives the keys of its
// pages, so that the service can refuse counts for pages that do not exist. The server
// follows sitemaps; commands read them once.
//
// Sitemaps are untrusted input. Redirects and indexes lead to hosts of the site only. Files,
// tokens, depth and pages are bounded. Skipped addresses are logged. If a file cannot be
// fetched or read, its last known pages remain.
package sitemap
