// Package bundle makes one minified module of the widgets' sources. Building
// and running the service do not need it: its result is committed, and a test
// holds the two together.
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

// Build bundles all widgets; dir is the directory of package web.
func Build(dir string) ([]byte, error) { return Module(dir, everything) }

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
