// Package web holds what browsers get: the widgets as one script, and the demo's
// pages with their assets, all embedded. It speaks no HTTP; the edge mounts it:
//
//   - GET /tally.js, and each other name of [Scripts], is a script, loadable from
//     everywhere.
//   - GET of each [Page]'s Path is its Render, under [Policy].
//   - GET /demo/… are the files of [Assets], save that /demo/ itself is a Page.
//
// The pages work below any base path, which they are rendered with; the script
// finds the service by its own URL. The sources are in src and demo; `go generate
// ./web` makes the files of dist of them, and a test fails while the two differ.
package web

import (
	"embed"
	"io/fs"
)

//go:generate go run ./generate

//go:embed demo/assets
var assets embed.FS

// Policy is the Content-Security-Policy of the demo's pages: nothing inline, and
// nothing from elsewhere.
const Policy = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'self'; require-trusted-types-for 'script'"

// Assets are the files that the demo's pages load from below /demo/.
var Assets = sub(assets, "demo/assets")

func sub(files fs.FS, dir string) fs.FS {
	below, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // dir is a constant of this package
	}
	return below
}
