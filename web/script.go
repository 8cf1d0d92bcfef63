package web

import (
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

//go:embed dist/tally.js
var script []byte

//go:embed dist/fallback.js
var fallback []byte

//go:embed dist/choices.js
var choices []byte

//go:embed dist/trendview.js
var trendview []byte

//go:embed dist/signin.js
var signIn []byte

//go:embed dist/whole.js
var whole []byte

// released has the scripts of all releases, by their names. Pages may name them,
// so none is ever removed.
//
//go:embed released
var released embed.FS

// Script is a file of the widgets.
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
// tally.js and the parts that it loads on first use, all in one file, and the scripts
// of former releases.
var Scripts = sync.OnceValue(func() map[string]Script {
	all, err := scripts(released)
	if err != nil {
		panic(err) // a test loads the embedded scripts
	}
	return all
})

func scripts(released fs.FS) (map[string]Script, error) {
	all := map[string]Script{}
	names, err := fs.Glob(released, "released/tally-*.js")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		body, err := fs.ReadFile(released, name)
		if err != nil {
			return nil, err
		}
		name = strings.TrimPrefix(name, "released/")
		if want := immutableName(body); name != want {
			return nil, fmt.Errorf("web/released/%s was changed: its content has the name %s", name, want)
		}
		all[name] = Script{body, true}
	}
	for _, body := range [][]byte{whole, fallback, choices, trendview, signIn} {
		all[immutableName(body)] = Script{body, true}
	}
	all["tally.js"] = Script{script, false}
	return all, nil
}

// Pinned returns the permanent name of the current script in one file, and the
// integrity that a page can state for it.
func Pinned() (name, integrity string) {
	sum := sha512.Sum384(whole)
	return immutableName(whole), "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
