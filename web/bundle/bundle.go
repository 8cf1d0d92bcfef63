// Package bundle makes what browsers get of its sources: one minified module of
// the widgets, and the demo's pages of their templates. Building and running the
// service do not need it: its result is committed, and a test holds the two
// together. The pages are rendered here because html/template, in a program,
// makes the linker keep every exported method: megabytes of them.
package bundle

import (
	"fmt"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// banner is the first line of the bundle.
const banner = "/* tallycast */"

// internal are properties that no page uses and no frame has: their names are shortened.
const internal = `^(listeners|receive|recall|seed|failure|fallback|moved|exact|paint|hear|emit|flush|change|shown|own)$`

// everything is the module that /tally.js is made of.
const everything = `export * from "./src/index.js"`

// Files returns the files of dist by their names; dir is the directory of
// package web.
func Files(dir string) (map[string][]byte, error) {
	script, err := Module(dir, everything)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"tally.js": script}
	if err := addPages(files, dir); err != nil {
		return nil, fmt.Errorf("render the demo: %w", err)
	}
	return files, nil
}

// Module bundles what the JavaScript module source imports, by paths relative to dir.
func Module(dir, source string) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	result := api.Build(api.BuildOptions{
		Stdin:             &api.StdinOptions{Contents: source, ResolveDir: dir},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MangleProps:       internal,
		LegalComments:     api.LegalCommentsNone,
		Banner:            map[string]string{"js": banner},
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
	})
	for _, message := range result.Errors {
		return nil, fmt.Errorf("bundle: %s", message.Text)
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("bundle: %d files where one was expected", len(result.OutputFiles))
	}
	return result.OutputFiles[0].Contents, nil
}
