package sitemap_test

import (
	"testing"

	"github.com/tallycast/tallycast/internal/sitemap"
)

// A page of a site map has the key that package pagekey gives it.
func TestKeyOf_Page(t *testing.T) {
	if key, ok := sitemap.KeyOf("https://blog.example/caf%C3%A9/index.html?b=2&a=1#top"); !ok || key != "café?a=1&b=2" {
		t.Errorf("%q, %t", key, ok)
	}
}

func TestKeyOf_NoPage(t *testing.T) {
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
