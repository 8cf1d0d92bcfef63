// Package seed reads the numbers that counts begin with out of what a site is made
// of: the frontmatter of its pages (YAML, TOML, JSON or keywords of Org), tables (CSV)
// and documents (JSON). It knows files and the rules by which they name topics; who stores the
// seeds is for the caller.
//
// The key of a page comes from its path or its fields, or from the rules by which Hugo,
// Jekyll or Astro makes the address of the page (hugo.go, jekyll.go, astro.go). Tests build
// sites with the real programs and compare.
//
// Three invariants: what cannot be read is named by file, line and reason, and
// keeps nothing else from being read; the same files give the same seeds in the
// same order; and of two places that give one topic different seeds the first
// holds, and the other is named.
package seed
