// Command generate makes the files of dist, which the service embeds: of src one
// minified module, and of demo the pages. It is run by `go generate ./web`.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tallycast/tallycast/web/bundle"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := bundle.Files(".")
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join("dist", name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
