// Package bundle builds the files that browsers load: the widgets as minified
// modules, the demo's pages and assets, and the dashboard. The service does not
// need it: the files are committed in dist, and a test compares them. The pages are
// rendered here because html/template in the service would make the linker keep
// every exported method, which is megabytes.
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

// banner is the first line of a script.
const banner = "/* tallycast */"

const (
	scriptSource = `export * from "./src/index.js"`
	// lazySource is the code that the widgets load on demand.
	lazySource = `export * from "./src/fallback.js"`
)

// nameBytes is how many bytes of a script's SHA-256 its name has. The name tells
// versions apart; integrity is checked with the whole hash.
const nameBytes = 8

// Name returns the permanent name of a script.
func Name(script []byte) string {
	sum := sha256.Sum256(script)
	return "tally-" + hex.EncodeToString(sum[:nameBytes]) + ".js"
}

// Integrity returns the value of a script element's integrity attribute.
func Integrity(script []byte) string {
	sum := sha512.Sum384(script)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Files returns the files of dist by their names; dir is the directory of package
// web. The script tally.js loads fallback.js on demand; whole.js is both in one,
// for pages that state its integrity, which does not cover imports.
func Files(dir string) (map[string][]byte, error) {
	lazy, err := Lazy(dir)
	if err != nil {
		return nil, err
	}
	script, err := lazy.Module(dir, scriptSource)
	if err != nil {
		return nil, err
	}
	whole, err := build(dir, scriptSource, nil)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"tally.js": script, "fallback.js": lazy.script, "whole.js": whole}
	for _, add := range []func(map[string][]byte, string) error{addPages, addDemoAssets, addDashboard} {
		if err := add(files, dir); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Part is a script that another one loads by its name.
type Part struct{ script []byte }

// Lazy bundles the code that the widgets load on demand.
func Lazy(dir string) (*Part, error) {
	script, err := build(dir, lazySource, nil)
	return &Part{script}, err
}

// Module bundles the JavaScript module source, whose imports are relative to dir.
// The bundle loads p in place of src/fallback.js.
func (p *Part) Module(dir, source string) ([]byte, error) {
	return build(dir, source, p)
}

// build bundles source. Names of properties stay: objects pass between the scripts
// of a page, and the minifier could choose other names in each.
func build(dir, source string, part *Part) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	options := minified()
	options.Stdin = &api.StdinOptions{Contents: source, ResolveDir: dir}
	options.LegalComments = api.LegalCommentsNone
	options.Banner = map[string]string{"js": banner}
	if part != nil {
		options.Plugins = []api.Plugin{part.plugin()}
	}
	result := api.Build(options)
	for _, message := range result.Errors {
		return nil, fmt.Errorf("bundle: %s", message.Text)
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("bundle: %d files instead of one", len(result.OutputFiles))
	}
	return result.OutputFiles[0].Contents, nil
}

// minified returns the options of all bundles.
func minified() api.BuildOptions {
	return api.BuildOptions{
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
	}
}

// plugin replaces imports of the part's source by its name.
func (p *Part) plugin() api.Plugin {
	return api.Plugin{Name: "part", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `^\./fallback\.js$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: "./" + Name(p.script), External: true}, nil
		})
	}}
}
