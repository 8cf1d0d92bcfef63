// Command generate bundles the widgets: src/index.js becomes dist/tally.js, one
// minified module. It is run by `go generate ./web`.
package main

import (
	"fmt"
	"os"

	"github.com/tallycast/tallycast/web/bundle"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	script, err := bundle.Build(".")
	if err != nil {
		return err
	}
	return os.WriteFile("dist/tally.js", script, 0o644)
}
