// Command generate makes the files of dist, which the service embeds: of src the
// minified scripts, of demo the pages, and of admin the dashboard. It is run by
// `go generate ./web`, once `npm ci` installed what the dashboard plots with.
//
// With -release, run by whoever makes a release, it also keeps the scripts in
// released, from where later binaries serve them.
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
	release := flag.Bool("release", false, "keep the scripts in released")
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
		if err := os.WriteFile(filepath.Join("dist", name), content, 0o644); err != nil {
			return err
		}
	}
	if release {
		return keep(files["whole.js"], files["fallback.js"])
	}
	return nil
}

// keep adds scripts to released and to its list.
func keep(scripts ...[]byte) error {
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
