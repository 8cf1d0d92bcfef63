package web

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tallycast/tallycast/web/bundle"
)

// Every released script is still served.
func TestScripts_Released(t *testing.T) {
	list, err := os.ReadFile("released/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if s, ok := Scripts()[name]; !ok || !s.Immutable {
			t.Errorf("%s was released and is not served", name)
		}
	}
}

// The README tells people to embed the newest release.
func TestReadme_NewestRelease(t *testing.T) {
	list, err := os.ReadFile("released/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var name string
	for each := range strings.FieldsSeq(string(list)) {
		// The others are parts that tally.js loads on first use.
		if bytes.Contains(Scripts()[each].Body, []byte("tally-like")) {
			name = each
		}
	}
	if name == "" {
		t.Fatal("nothing was released")
	}
	want := fmt.Sprintf("/%s\" integrity=%q", name, bundle.Integrity(Scripts()[name].Body))
	if got := strings.Join(strings.Fields(string(readme)), " "); !strings.Contains(got, want) {
		t.Errorf("README.md does not embed the newest release: %s", want)
	}
}

// All scripts but tally.js have their hash as name. tally.js names the parts, whole.js needs none.
func TestScripts_Names(t *testing.T) {
	all := Scripts()
	if s := all["tally.js"]; s.Immutable || !bytes.Equal(s.Body, distFile(t, "tally.js")) {
		t.Error("tally.js is not the current script, or is cached for good")
	}
	if bytes.Contains(distFile(t, "whole.js"), []byte(`.js"`)) {
		t.Error("the integrity of whole.js does not cover all code")
	}
	names, err := fs.Glob(current, "dist/*.js")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		name = path.Base(name)
		if name == "tally.js" {
			continue
		}
		body := distFile(t, name)
		hashed := bundle.Name(body)
		if s := all[hashed]; !s.Immutable || !bytes.Equal(s.Body, body) {
			t.Errorf("%s is not served as %s", name, hashed)
		}
		if name != "whole.js" && !bytes.Contains(distFile(t, "tally.js"), []byte(hashed)) {
			t.Errorf("tally.js does not name %s, %s", hashed, name)
		}
	}
}

// Former scripts are served beside the current ones, and never change.
func TestScripts_Former(t *testing.T) {
	old := []byte("/* old */")
	name := immutableName(old)
	all, err := scripts(fstest.MapFS{"released/" + name: {Data: old}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all[name].Body, old) || all["tally.js"].Body == nil {
		t.Errorf("%d scripts, %s is %q", len(all), name, all[name].Body)
	}
	if _, err := scripts(fstest.MapFS{"released/" + name: {Data: []byte("/* new */")}}); err == nil {
		t.Error("a changed script is served")
	}
}
