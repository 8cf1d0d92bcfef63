// Package web embeds what browsers load: the elements, the demo's pages with their
// assets, and the dashboard. It has no HTTP code; package api serves
//
//   - each script of [Scripts] at its name, to pages of all origins;
//   - each [Page] at its Path, under [Policy];
//   - the files of [Assets] below /demo/;
//   - the files of [Dashboard] below /admin/.
//
// The pages work below any base path; the script finds the service by its own URL.
// The sources are in src, demo and admin. `go generate ./web` builds dist from them,
// and a test fails while the two differ.
package web

import (
	"cmp"
	"embed"
	"io/fs"
	"path"
)

//go:generate go run ./generate

//go:embed dist/demo
var assets embed.FS

//go:embed dist/admin
var dashboard embed.FS

// Policy is the Content-Security-Policy of the demo's pages: nothing inline, and
// nothing from other origins.
const Policy = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'self'; require-trusted-types-for 'script'"

// Assets are the files that the demo's pages load from below /demo/.
var Assets = sub(assets, "dist/demo")

// Dashboard are the files of the dashboard: index.html is served at /admin/, the
// others next to it. They find the service by their own address.
var Dashboard = sub(dashboard, "dist/admin")

// types are the media types of files by their extensions: constants, since the tables of systems differ.
var types = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml; charset=utf-8",
	".yaml": "application/yaml; charset=utf-8",
}

// ContentType returns the media type of a file by its name.
func ContentType(name string) string {
	return cmp.Or(types[path.Ext(name)], "application/octet-stream")
}

func sub(files fs.FS, dir string) fs.FS {
	below, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // dir is a constant of this package
	}
	return below
}
