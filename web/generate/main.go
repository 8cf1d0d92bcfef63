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
	"path"
	"path/filepath"
	"slices"
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
		return addRelease(files)
	}
	return nil
}

// addRelease adds the scripts of dist that pages load by their hashes to the folder
// released and to its list: all but tally.js.
func addRelease(files map[string][]byte) error {
	const list = "released/list.txt"
	known, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if inDist, _ := path.Match("*.js", file); !inDist || file == "tally.js" {
			continue
		}
		script := files[file]
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
