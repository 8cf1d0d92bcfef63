package pagekey_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/tally"
)

// golden is one case of testdata/golden.json, which web/test/page.test.js reads too.
type golden struct {
	Address string
	Key     *string // nil if the address has none
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("testdata/golden.json has no cases")
	}
	return cases
}

func TestOf_Golden(t *testing.T) {
	for _, c := range readGolden(t) {
		key, err := pagekey.Of(c.Address)
		switch {
		case c.Key == nil && err == nil:
			t.Errorf("%q has the key %q, want none", c.Address, key)
		case c.Key != nil && err != nil:
			t.Errorf("%q has no key (%v), want %q", c.Address, err, *c.Key)
		case c.Key != nil && key != *c.Key:
			t.Errorf("%q has the key %q, want %q", c.Address, key, *c.Key)
		}
	}
}

func TestOf_LongestKey(t *testing.T) {
	longest := strings.Repeat("é", tally.MaxKeyBytes/2)
	if key, err := pagekey.Of("/" + strings.Repeat("%C3%A9", tally.MaxKeyBytes/2) + "/"); err != nil || key != longest {
		t.Errorf("%q, %v", key, err)
	}
	if _, err := pagekey.Of("/" + longest + "x"); err == nil {
		t.Error("a key of 257 bytes is accepted")
	}
}

// A path may begin with any number of slashes.
func TestOfPath_Forms(t *testing.T) {
	for path, want := range map[string]string{
		"": "index", "/": "index", "//": "index", "?p=1": "index?p=1", "//a/b": "a/b", "a/b?c=1#d": "a/b?c=1", "/a/b/": "a/b",
	} {
		if key, err := pagekey.OfPath(path); err != nil || key != want {
			t.Errorf("%q has the key %q (%v), want %q", path, key, err, want)
		}
	}
}

// The service accepts each key unchanged.
func FuzzOf(f *testing.F) {
	for _, c := range readGolden(f) {
		f.Add(c.Address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		key, err := pagekey.Of(address)
		if err != nil {
			if key != "" || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: key %q, error %q", address, key, err)
			}
			return
		}
		topic, err := tally.NewTopic("default", "likes", key)
		if err != nil || topic.Key() != key {
			t.Errorf("%q has the key %q, which the service reads as %q (%v)", address, key, topic, err)
		}
	})
}
