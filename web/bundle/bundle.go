// Package bundle makes what browsers get of its sources: one minified module of
// the widgets, and the demo's pages of their templates. Building and running the
// service do not need it: its result is committed, and a test holds the two
// together. The pages are rendered here because html/template, in a program,
// makes the linker keep every exported method: megabytes of them.
package bundle

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// banner is the first line of the bundle.
const banner = "/* tallycast */"

const (
	// everything is the module that /tally.js is made of.
	everything = `export * from "./src/index.js"`
	// rare is the module that the widgets load when they need it.
	rare = `export * from "./src/fallback.js"`
)

// nameBytes is how much of a script's SHA-256 is in its name: 64 bits. The name
// keeps versions apart; whom integrity concerns states the whole hash.
const nameBytes = 8

// Name returns the name under which a script is served for good.
func Name(script []byte) string {
	sum := sha256.Sum256(script)
	return "tally-" + hex.EncodeToString(sum[:nameBytes]) + ".js"
}

// Integrity returns what a page states of a script so that no other runs in its place.
func Integrity(script []byte) string {
	sum := sha512.Sum384(script)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Files returns the files of dist by their names; dir is the directory of
// package web.
//
// tally.js loads fallback.js when it needs it. whole.js is both in one: whoever
// names a script by its hash may state its integrity, which an import could not.
func Files(dir string) (map[string][]byte, error) {
	part, err := Rare(dir)
	if err != nil {
		return nil, err
	}
	script, err := part.Module(dir, everything)
	if err != nil {
		return nil, err
	}
	whole, err := build(dir, everything, nil)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"tally.js": script, "fallback.js": part.script, "whole.js": whole}
	if err := addPages(files, dir); err != nil {
		return nil, fmt.Errorf("render the demo: %w", err)
	}
	if err := addDashboard(files, dir); err != nil {
		return nil, err
	}
	return files, nil
}

// Part is a script that others load by its name.
type Part struct{ script []byte }

// Rare bundles what few pages need; dir is the directory of package web.
func Rare(dir string) (*Part, error) {
	script, err := build(dir, rare, nil)
	return &Part{script}, err
}

// Module bundles what the JavaScript module source imports, by paths relative to
// dir, save src/fallback.js, which it loads as p.
func (p *Part) Module(dir, source string) ([]byte, error) {
	return build(dir, source, p)
}

// build bundles source. Names of properties stay as they are: a name that the minifier
// chose could be another one in the next bundle, and objects pass between them.
func build(dir, source string, part *Part) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	options := api.BuildOptions{
		Stdin:             &api.StdinOptions{Contents: source, ResolveDir: dir},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsNone,
		Banner:            map[string]string{"js": banner},
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
	}
	if part != nil {
		options.Plugins = []api.Plugin{part.plugin()}
	}
	result := api.Build(options)
	for _, message := range result.Errors {
		return nil, fmt.Errorf("bundle: %s", message.Text)
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("bundle: %d files where one was expected", len(result.OutputFiles))
	}
	return result.OutputFiles[0].Contents, nil
}

// plugin puts the part's address, beside that of the script, in the place of its source.
func (p *Part) plugin() api.Plugin {
	return api.Plugin{Name: "part", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `^\./fallback\.js$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: "./" + Name(p.script), External: true}, nil
		})
	}}
}
