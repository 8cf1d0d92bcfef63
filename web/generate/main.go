// Command generate builds the files of dist, which the service embeds, from src,
// demo and admin. `go generate ./web` runs it, after `npm ci` in web.
//
// With -release, for a new release, it also adds the scripts to released, so that
// later versions of the service go on serving them.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycast/tallycast/web/bundle"
)

func main() {
	release := flag.Bool("release", false, "add the scripts to released")
	flag.Parse()
	if err := run(*release); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(release bool) error {
	files, err := bundle.Files(".")
	if err != nil {
		return err
	}
	plot, err := bundle.Plot(".")
	if err != nil {
		return err
	}
	maps.Copy(files, plot)
	for name, content := range files {
		path := filepath.Join("dist", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if release {
		return addRelease(files["whole.js"], files["fallback.js"], files["choices.js"], files["trendview.js"])
	}
	return nil
}

// addRelease adds scripts to the folder released and to its list.
func addRelease(scripts ...[]byte) error {
	const list = "released/list.txt"
	known, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	for _, script := range scripts {
		name := bundle.Name(script)
		if strings.Contains(string(known), name) {
			continue
		}
		if err := os.WriteFile(filepath.Join("released", name), script, 0o644); err != nil {
			return err
		}
		known = append(known, name+"\n"...)
	}
	return os.WriteFile(list, known, 0o644)
}
