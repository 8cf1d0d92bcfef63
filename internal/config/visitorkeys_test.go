package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testKey = "0123456789abcdef,0123456789abcd=" // 32 bytes

// parse parses flags, given as name=value.
func parse(env Environment, flags ...string) (Config, Problems) {
	given := map[string][]string{}
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		given[name] = append(given[name], value)
	}
	return Parse(Resolve(Settings, given, env, File{}))
}

// pemFile writes a file with a public key.
func pemFile(t *testing.T) string {
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A prefix counts only if it names a declared site; a shared secret is taken as it is written.
func TestVisitorKeys_Sites(t *testing.T) {
	path := pemFile(t)
	for flags, want := range map[string]string{
		"visitor-key=" + testKey:                                                   ":HS256",
		"visitor-key=blog=" + testKey:                                              "blog:HS256",
		"visitor-key=shop=" + testKey:                                              ":HS256", // part of the secret
		"visitor-key=default=" + testKey:                                           "default:HS256",
		"visitor-key-file=" + path:                                                 ":EdDSA",
		"visitor-key-file=blog=" + path + "," + path:                               "blog:EdDSA :EdDSA",
		"visitor-jwks=blog=https://login.example/keys?a=b":                         "blog:the keys at https://login.example/keys?a=b",
		"visitor-key=" + testKey + "\nvisitor-jwks=http://127.0.0.1:1/":            ":HS256 :the keys at http://127.0.0.1:1/",
		"visitor-key=" + testKey + "\nvisitor-key=blog=second" + testKey:           ":HS256 blog:HS256",
		"visitor-key=blog=" + testKey + "\nsite=blog=visitors=signed":              "blog:HS256 signed:blog",
		"visitor-key=" + testKey + "\nsite=blog=https://a.example,visitors=signed": ":HS256 signed:blog",
	} {
		c, problems := parse(nil, append(strings.Split(flags, "\n"), "site=blog=https://blog.example")...)
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", flags, err)
		}
		var got []string
		for _, source := range c.VisitorKeys {
			got = append(got, source.Site+":"+source.String())
		}
		for site := range c.SignedSites {
			got = append(got, "signed:"+site)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", flags, text, want)
		}
	}
	c, problems := parse(Environment{"TALLYCAST_VISITOR_KEY": strings.Repeat("a", 32) + "," + strings.Repeat("b", 32)})
	if problems != nil || len(c.VisitorKeys) != 2 {
		t.Error(c.VisitorKeys, problems)
	}
}

// Errors name the setting and the remedy, and never the secret.
func TestVisitorKeys_Refused(t *testing.T) {
	for flags, want := range map[string]string{
		"visitor-key=0123456789abcde":                                            "has 15 bytes",
		"visitor-key=blog=0123456789abcde":                                       "has 15 bytes",
		"visitor-key-file=absent.pem":                                            "absent.pem cannot be read",
		"visitor-jwks=http://login.example/":                                     "https address",
		"visitor-jwks=shop=https://login.example/":                               "https address",
		"site=blog=visitors=signed":                                              "blog=visitors=signed needs a key",
		"site=blog=visitors=signed\nvisitor-key=shop=" + testKey + "\nsite=shop": "blog=visitors=signed needs a key",
		"site=blog=visitors=none":                                                "visitors=signed",
	} {
		_, problems := parse(nil, append(strings.Split(flags, "\n"), "site=blog=https://blog.example")...)
		err := problems.Err()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0123") {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}
