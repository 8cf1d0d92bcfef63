package sitemap_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/tallycast/tallycast/internal/sitemap"
)

// widget makes keys as pages do, with the code that they run: each address is the
// canonical link of a page.
const widget = `
let href;
globalThis.document = { querySelector: () => ({ href }) };
globalThis.location = { href: 'https://other.example/elsewhere', pathname: '/elsewhere' };
const { keyOf } = await import('../../web/src/page.js');
const keys = [];
for (href of JSON.parse(process.argv[1])) keys.push(keyOf(null) ?? null);
console.log(JSON.stringify(keys));
`

func TestKeysAreThoseThatTheWidgetsMake(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test runs the widgets' own code: apt-get install nodejs (%v)", err)
	}
	addresses := []string{
		"https://blog.example", "https://blog.example/", "https://blog.example/index.html", "https://blog.example//",
		"https://blog.example/hello", "https://blog.example/hello/", "https://blog.example/hello/index.html",
		"https://blog.example/hello/world/?b=2&a=1&b=1", "https://blog.example/?p=12", "https://blog.example/index.html?p=12",
		"https://blog.example/reindex.html", "https://blog.example/Hello.HTML", "https://blog.example/a/../b/./c",
		"https://blog.example/caf%C3%A9", "https://blog.example/cafe%CC%81", "https://blog.example/日本/語", "https://blog.example/a%2Fb",
		"https://blog.example/a%20b+c", "https://blog.example/?q=a+b%20c~d*e-f._g%2B&é=ü&x&y=", "https://blog.example/?%zz=%4&=v&&",
		"https://blog.example/a//b", "https://blog.example/{x}", "https://blog.example/a%0Ab", "https://blog.example/hello#part",
		"https://blog.example:8443/x", "http://blog.example/x", "https://blog.example/?b=1&a%C3%A9=2&a=3&B=4",
	}
	asked, err := json.Marshal(addresses)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(node, "--input-type=module", "-e", widget, string(asked))
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaint.String())
	}
	var want []*string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, address := range addresses {
		key, ok := sitemap.KeyOf(address)
		switch {
		case ok != (want[i] != nil):
			t.Errorf("%s is a page's: %t, %q", address, ok, key)
		case ok && key != *want[i]:
			t.Errorf("%s has the key %q, and %q on pages", address, key, *want[i])
		}
	}
}

func TestWhatIsNoAddressOfAPageHasNoKey(t *testing.T) {
	for _, address := range []string{"", "hello", "/hello", "mailto:a@example.com", "ftp://blog.example/x", "https:///x", "https://blog.example/%zz"} {
		if key, ok := sitemap.KeyOf(address); ok {
			t.Errorf("%q has the key %q", address, key)
		}
	}
}

func FuzzKeyOf(f *testing.F) {
	for _, seed := range []string{"https://a.example/b?c=d", "https://a.example/%2e%2e/x", "https://a.example/?%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if key, ok := sitemap.KeyOf(address); ok && key == "" {
			t.Errorf("%q has an empty key", address)
		}
	})
}
