// Package sitemap follows the site maps of a site (sitemaps.org), and makes of each
// page the key that the widgets make of it: so that counts exist for pages that exist,
// and for nothing that somebody made up.
//
// A site map is hostile input: redirects and indexes lead to the site's own hosts alone,
// and files, tokens, depth and pages are bounded. The fetcher reports every address that it skips.
//
// What cannot be fetched or read keeps what was known of it before.
package sitemap
