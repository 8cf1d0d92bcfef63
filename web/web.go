// Package web holds what browsers get: the widgets as one script, and the demo's
// pages with their assets, all embedded. It speaks no HTTP; the edge mounts it:
//
//   - GET /tally.js is [Script], loadable from everywhere.
//   - GET of each [Page]'s Path is its Render, under [Policy].
//   - GET /demo/… are the files of [Assets], save that /demo/ itself is a Page.
//
// The pages work below any base path, which they are rendered with; the script
// finds the service by its own URL. The sources are in src and demo; `go generate
// ./web` makes the files of dist of them, and a test fails while the two differ.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"sync"
)

//go:generate go run ./generate

//go:embed dist/tally.js
var script []byte

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
