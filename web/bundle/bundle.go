// Package bundle builds the files that browsers load: the elements as minified
// modules, the demo's pages and assets, and the dashboard. The service does not
// need it: the files are committed in dist, and a test compares them. The pages are
// rendered here because html/template in the service would make the linker keep
// every exported method, which is megabytes.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

const scriptSource = `export * from "./src/index.js"`

// parts are the modules of src that the elements load on first use: each is a script of its own.
var parts = []string{"fallback", "choices", "trendview", "signin"}

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
// web, in which `npm ci` installed the libraries. The script tally.js loads its parts on
// first use; whole.js has them all, for pages that state its integrity, which does not
// cover imports.
func Files(dir string) (map[string][]byte, error) {
	lazy, err := lazyParts(dir)
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
	files := map[string][]byte{"tally.js": script, "whole.js": whole}
	for name, script := range lazy {
		files[name+".js"] = script
	}
	for _, add := range []func(map[string][]byte, string) error{addPages, addDemoAssets, addDashboard} {
		if err := add(files, dir); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Parts are scripts that another one loads, by the names of their modules.
type Parts map[string][]byte

// lazyParts bundles the code that the elements load on first use.
func lazyParts(dir string) (Parts, error) {
	lazy := Parts{}
	for _, name := range parts {
		script, err := build(dir, fmt.Sprintf(`export * from "./src/%s.js"`, name), nil)
		if err != nil {
			return nil, err
		}
		lazy[name] = script
	}
	return lazy, nil
}

// Module bundles the JavaScript module source, whose imports are relative to dir.
// The bundle loads the scripts of p in place of their modules.
func (p Parts) Module(dir, source string) ([]byte, error) {
	return build(dir, source, p)
}

// build bundles source. Names of properties stay: objects pass between the scripts
// of a page, and the minifier could choose other names in each.
func build(dir, source string, lazy Parts) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	options := minified()
	options.Stdin = &api.StdinOptions{Contents: source, ResolveDir: dir}
	options.LegalComments = api.LegalCommentsNone
	if lazy != nil {
		options.Plugins = []api.Plugin{lazy.plugin()}
	}
	result := api.Build(options)
	for _, message := range result.Errors {
		return nil, fmt.Errorf("bundle: %s", message.Text)
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("bundle: %d files instead of one", len(result.OutputFiles))
	}
	return rename(dir, result.OutputFiles[0].Contents)
}

// rename shortens a script once more with terser, which gives variables of all scopes
// the same few names: after gzip that is 3% less. It needs node_modules.
func rename(dir string, script []byte) ([]byte, error) {
	command := exec.Command(filepath.Join(dir, "node_modules/.bin/terser"), "--module", "--mangle", "--compress", "hoist_funs")
	var messages bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(script), &messages
	renamed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("terser: %w; npm --prefix web ci installs it %s", err, &messages)
	}
	return renamed, nil
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

// plugin replaces imports of the parts' modules by the names of their scripts.
func (p Parts) plugin() api.Plugin {
	filter := `^\./(` + strings.Join(parts, "|") + `)\.js$`
	return api.Plugin{Name: "parts", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: filter}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			module := strings.TrimSuffix(strings.TrimPrefix(args.Path, "./"), ".js")
			return api.OnResolveResult{Path: "./" + Name(p[module]), External: true}, nil
		})
	}}
}
