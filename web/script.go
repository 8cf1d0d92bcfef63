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

//go:embed dist/whole.js
var whole []byte

// released has what releases served, by the names they served it under. A page
// that names such a script goes on working with later releases; nothing is ever
// taken out.
//
//go:embed released
var released embed.FS

// Script is a file of the widgets.
type Script struct {
	Body []byte // must not be changed
	// Lasting says that the name belongs to this very body, for good.
	Lasting bool
}

// nameBytes is how much of a script's SHA-256 is in its name: 64 bits. The name
// keeps versions apart; whom integrity concerns states the whole hash.
const nameBytes = 8

func lastingName(body []byte) string {
	sum := sha256.Sum256(body)
	return "tally-" + hex.EncodeToString(sum[:nameBytes]) + ".js"
}

// Scripts returns every script by its name, which is its path below the base
// path: tally.js with the part that it loads when needed, the same in one file
// by its hash, and what was released before.
var Scripts = sync.OnceValue(func() map[string]Script {
	all, err := scripts(released)
	if err != nil {
		panic(err) // what is embedded is held by a test
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
		if want := lastingName(body); name != want {
			return nil, fmt.Errorf("web/released/%s was changed: its content belongs to %s", name, want)
		}
		all[name] = Script{body, true}
	}
	for _, body := range [][]byte{whole, fallback} {
		all[lastingName(body)] = Script{body, true}
	}
	all["tally.js"] = Script{script, false}
	return all, nil
}

// Pinned returns the name of the script of now that is complete in one file, so
// that its integrity covers all that runs, and that integrity.
func Pinned() (name, integrity string) {
	sum := sha512.Sum384(whole)
	return lastingName(whole), "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
