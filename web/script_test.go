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

func TestWhatWasReleasedGoesOnBeingServed(t *testing.T) {
	list, err := released.ReadFile("released/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if s, ok := Scripts()[name]; !ok || !s.Lasting {
			t.Errorf("%s was released and is gone", name)
		}
	}
}

// What the package's README tells people to embed is what they go on getting.
func TestTheReadmeEmbedsTheNewestRelease(t *testing.T) {
	list, err := released.ReadFile("released/list.txt")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	// A release notes the whole script, then its part.
	names := strings.Fields(string(list))
	if len(names) < 2 {
		t.Fatal("nothing was released")
	}
	name := names[len(names)-2]
	want := fmt.Sprintf("/%s\" integrity=%q", name, bundle.Integrity(Scripts()[name].Body))
	if got := strings.Join(strings.Fields(string(readme)), " "); !strings.Contains(got, want) {
		t.Errorf("README.md does not embed the newest release: %s", want)
	}
}

func TestAScriptIsNamedByItsContentAndNamesItsPart(t *testing.T) {
	name, integrity := Pinned()
	if s := Scripts()[name]; name != bundle.Name(whole) || !s.Lasting || !bytes.Equal(s.Body, whole) {
		t.Errorf("%s is not the script of now", name)
	}
	if integrity != bundle.Integrity(whole) || bytes.Contains(whole, []byte(".js\"")) {
		t.Errorf("%s does not cover all that runs", integrity)
	}
	if s := Scripts()["tally.js"]; s.Lasting || !bytes.Equal(s.Body, script) {
		t.Error("tally.js is not the script of now, or would never be asked for again")
	}
	part := bundle.Name(fallback)
	if s := Scripts()[part]; !s.Lasting || !bytes.Contains(script, []byte(part)) {
		t.Errorf("%s is not served, or not named", part)
	}
}

func TestOldScriptsStandBesideNewOnesAndAreNeverChanged(t *testing.T) {
	old := []byte("/* old */")
	name := lastingName(old)
	all, err := scripts(fstest.MapFS{"released/" + name: {Data: old}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all[name].Body, old) || len(all) != 4 {
		t.Errorf("%d scripts, %s is %q", len(all), name, all[name].Body)
	}
	if _, err := scripts(fstest.MapFS{"released/" + name: {Data: []byte("/* new */")}}); err == nil {
		t.Error("a script that was changed is served")
	}
}
