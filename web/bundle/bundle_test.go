package bundle_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/tallycast/tallycast/web/bundle"
)

// property matches the access to a property, but not a spread.
var property = regexp.MustCompile(`[^.]\.([A-Za-z_$][\w$]*)`)

// Properties keep the names of their sources: objects pass between the scripts of
// a page, and the minifier could choose other names in each.
func TestFiles_PropertyNames(t *testing.T) {
	sources, err := filepath.Glob("../src/*.js")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	written := map[string]bool{}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range property.FindAllSubmatch(text, -1) {
			written[string(match[1])] = true
		}
	}
	files, err := bundle.Files("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range files {
		if isWidget, _ := path.Match("*.js", name); !isWidget {
			continue
		}
		matches := property.FindAllSubmatch(script, -1)
		if len(matches) == 0 {
			t.Errorf("%s accesses no property", name)
		}
		for _, match := range matches {
			if !written[string(match[1])] {
				t.Errorf("%s has the property %s, which no source has", name, match[1])
			}
		}
	}
}
