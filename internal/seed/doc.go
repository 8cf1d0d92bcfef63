// Package seed reads seeds from the files of a site: frontmatter of pages (YAML, TOML, JSON or
// keywords of Org), tables (CSV) and documents (JSON). Commands and the server import it and
// store the seeds.
//
// The key of a page comes from its path, from its fields, or from the rules of Hugo, Jekyll or
// Astro (hugo*.go, jekyll*.go, astro.go). Tests build sites with these programs and compare.
//
// It keeps these invariants. A problem has a file, a line and a reason, and does not stop the reading
// of other files and lines. The same files give the same seeds in the same order. If two places give
// a topic different seeds, the first one is used and the second is reported.
package seed
