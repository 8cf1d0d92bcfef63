package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sync"
)

// current has the scripts of this version: tally.js, the parts that it loads on first
// use, and whole.js, which is all of them in one file.
//
//go:embed dist/*.js
var current embed.FS

// released has the scripts of all releases, by their names. Pages may name them,
// so none is ever removed.
//
//go:embed released/tally-*.js
var released embed.FS

// Script is a script that pages load.
type Script struct {
	Body []byte // must not be changed
	// Immutable reports that the name always has this body.
	Immutable bool
}

// nameBytes is how many bytes of a script's SHA-256 its name has, as in package
// bundle.
const nameBytes = 8

func immutableName(body []byte) string {
	sum := sha256.Sum256(body)
	return "tally-" + hex.EncodeToString(sum[:nameBytes]) + ".js"
}

// Scripts returns every script by its name, which is its path below the base path:
// tally.js, the other scripts of this version by their hashes, and those of former
// releases.
var Scripts = sync.OnceValue(func() map[string]Script {
	all, err := scripts(released)
	if err != nil {
		panic(err) // a test loads the embedded scripts
	}
	return all
})

func scripts(released fs.FS) (map[string]Script, error) {
	all := map[string]Script{}
	err := eachFile(released, "released/*.js", func(name string, body []byte) error {
		if want := immutableName(body); name != want {
			return fmt.Errorf("web/released/%s was changed: its content has the name %s", name, want)
		}
		all[name] = Script{body, true}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, eachFile(current, "dist/*.js", func(name string, body []byte) error {
		if name == "tally.js" {
			all[name] = Script{body, false}
		} else {
			all[immutableName(body)] = Script{body, true}
		}
		return nil
	})
}

// eachFile calls do with the name and the content of each file that matches pattern.
func eachFile(files fs.FS, pattern string, do func(name string, body []byte) error) error {
	paths, err := fs.Glob(files, pattern)
	if err != nil {
		return err
	}
	for _, each := range paths {
		body, err := fs.ReadFile(files, each)
		if err != nil {
			return err
		}
		if err := do(path.Base(each), body); err != nil {
			return err
		}
	}
	return nil
}
