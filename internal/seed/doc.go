// Package seed reads seeds from the files of a site: frontmatter of pages (YAML, TOML, JSON or
// keywords of Org), tables (CSV) and documents (JSON). Commands and the server import it and
// store the seeds.
//
// The key of a page comes from its path, from its fields, or from the rules of Hugo, Jekyll or
// Astro (hugo*.go, jekyll*.go, astro.go). Tests build sites with these programs and compare.
//
// It keeps these invariants. An error names its file, line and reason, and the other files and
// lines are read. The same files give the same seeds in the same order. If two places give a
// topic different seeds, the first one is used and the second is reported.
package seed
