package config

import (
	"strings"
	"testing"
)

func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "# nothing\n", "listen: :8080\nsite: [blog=https://a.example]\n", "site:\n  - a=*\n  - b\n",
		"secret: |\n  0123456789abcdef\n", "a: &x 1\nb: *x\n", "<<: {a: b}\n", "? a\n: b\n", "listen: !!str 1\n",
		"---\n...\n---\n", "{listen: :1}", "listen: [[a]]\n", "'listen': \"\"\n", "listen: ~\n", "\x00", "a: [", "- - -\n", "1: 2\n",
		"max-viewers: 1e3\n", "listen: 0x10\n", "%YAML 1.2\n---\nlisten: :1\n", "listen: >-\n  a\n  b\n",
	} {
		f.Add(seed)
	}
	settings := []Setting{{Name: "listen"}, {Name: "site", Repeatable: true}, {Name: "secret"}, {Name: "max-viewers"}}
	f.Fuzz(func(t *testing.T, text string) {
		file, problems := parseFile("f.yaml", []byte(text), settings)
		for name, entry := range file.entries {
			if len(entry.texts) != 1 && name != "site" {
				t.Errorf("%s holds %d values", name, len(entry.texts))
			}
		}
		for _, each := range problems {
			if strings.TrimSpace(each.Message) == "" {
				t.Error("a problem without a message")
			}
		}
		// Parsing the values does not panic.
		Parse(Resolve(settings, nil, Environment{}, file))
	})
}

func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"*", "https://a.example", "https://*.a.example:8443", "http://[::1]:80", "https://a:443/", "null", "https://[::1%25a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, err := parseOrigin(text)
		if err != nil {
			return
		}
		if again, err := parseOrigin(origin); err != nil || again != origin {
			t.Errorf("%q is read as %q, and that as %q (%v)", text, origin, again, err)
		}
	})
}
