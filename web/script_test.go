package web

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tallycast/tallycast/web/bundle"
)

// Every released script is still served.
func TestScripts_Released(t *testing.T) {
	list, err := released.ReadFile("released/list.txt")
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
	list, err := released.ReadFile("released/list.txt")
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

func TestScripts_Names(t *testing.T) {
	name, integrity := Pinned()
	if s := Scripts()[name]; name != bundle.Name(whole) || !s.Immutable || !bytes.Equal(s.Body, whole) {
		t.Errorf("%s is not the current script", name)
	}
	if integrity != bundle.Integrity(whole) || bytes.Contains(whole, []byte(".js\"")) {
		t.Errorf("%s does not cover all code", integrity)
	}
	if s := Scripts()["tally.js"]; s.Immutable || !bytes.Equal(s.Body, script) {
		t.Error("tally.js is not the current script, or is cached for good")
	}
	for _, body := range [][]byte{fallback, choices, trendview, signIn} {
		part := bundle.Name(body)
		if s := Scripts()[part]; !s.Immutable || !bytes.Contains(script, []byte(part)) {
			t.Errorf("%s is not served, or tally.js does not name it", part)
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
	if !bytes.Equal(all[name].Body, old) || len(all) != 7 {
		t.Errorf("%d scripts, %s is %q", len(all), name, all[name].Body)
	}
	if _, err := scripts(fstest.MapFS{"released/" + name: {Data: []byte("/* new */")}}); err == nil {
		t.Error("a changed script is served")
	}
}
