package sitemap

import "testing"

// A page of a sitemap has the key that package pagekey gives it.
func TestKeyOf(t *testing.T) {
	if key, ok := keyOf("https://blog.example/caf%C3%A9/index.html?b=2&a=1#top"); !ok || key != "café?a=1&b=2" {
		t.Errorf("%q, %t", key, ok)
	}
	for _, address := range []string{"", "hello", "/hello", "mailto:a@example.com", "ftp://blog.example/x", "https:///x", "https://blog.example/%zz"} {
		if key, ok := keyOf(address); ok {
			t.Errorf("%q has the key %q", address, key)
		}
	}
}
