// Package web holds what browsers get: the widgets as one script, and the demo's
// pages with their assets, all embedded. It speaks no HTTP; the edge mounts it:
//
//   - GET /tally.js is [Script], loadable from everywhere.
//   - GET of each [Page]'s Path is its Render, under [Policy].
//   - GET /demo/… are the files of [Assets], save that /demo/ itself is a Page.
//
// The pages work below any base path, which they are rendered with; the script
// finds the service by its own URL. The sources are in src; `go generate ./web`
// makes dist/tally.js of them, and a test fails while the two differ.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"sync"
)

//go:generate go run ./generate

//go:embed dist/tally.js
var script []byte

//go:embed demo/*.html
var templates embed.FS

//go:embed demo/assets
var assets embed.FS

// Policy is the Content-Security-Policy of the demo's pages: nothing inline, and
// nothing from elsewhere.
const Policy = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'self'; require-trusted-types-for 'script'"

// hashBytes is how much of the script's SHA-256 names a version: 64 bits, enough
// for an ETag.
const hashBytes = 8

var scriptHash = sync.OnceValue(func() string {
	sum := sha256.Sum256(script)
	return hex.EncodeToString(sum[:hashBytes])
})

// Script returns the widgets as one JavaScript module, and a hash of it in hex
// that can serve as its ETag. The body must not be changed.
func Script() (body []byte, hash string) { return script, scriptHash() }

// Assets are the files that the demo's pages load from below /demo/.
var Assets = sub(assets, "demo/assets")

func sub(files fs.FS, dir string) fs.FS {
	below, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // dir is a constant of this package
	}
	return below
}

// Page is one page of the demo.
type Page struct {
	Path   string   // where it is served, below the base path: "/" or "/demo/"
	Topics []string // whose counts it shows

	name, title string
}

// Pages returns the pages of the demo.
func Pages() []Page {
	// Each page shows the article's number at its foot.
	listing := Page{Topics: []string{articleTopic}, Path: "/demo/", name: "listing", title: "Fifty small pleasures"}
	for _, p := range pleasures {
		listing.Topics = append(listing.Topics, p.Topic())
	}
	return []Page{
		{Path: "/", name: "article", title: "How a number travels", Topics: []string{articleTopic}},
		listing,
	}
}

var parsed = sync.OnceValues(func() (*template.Template, error) {
	return template.ParseFS(templates, "demo/*.html")
})

// Render writes the page as HTML. The base path is empty or begins with a slash
// and does not end in one; counts holds the numbers of p.Topics and of others
// that the page may show, where those that are missing count 0. Nothing is
// written when it fails.
func (p Page) Render(w io.Writer, basePath string, counts map[string]int64) error {
	all, err := parsed()
	if err != nil {
		return fmt.Errorf("parse the demo's pages: %w", err)
	}
	v := view{Name: p.name, Title: p.title, Base: basePath, Path: basePath + p.Path,
		Topic: articleTopic, Pleasures: pleasures, counts: counts}
	for _, p := range pleasures {
		v.Total += counts[p.Topic()]
	}
	var page bytes.Buffer
	if err := all.ExecuteTemplate(&page, p.name+".html", v); err != nil {
		return fmt.Errorf("render the demo's %s: %w", p.name, err)
	}
	_, err = page.WriteTo(w)
	return err
}
