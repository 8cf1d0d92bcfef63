package visitortoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// rs returns a token of the RSA signer with the kid of its key.
func rs(kid string) string {
	return sign(signers().rsa, fmt.Sprintf(`{"alg":"RS256","kid":%q}`, kid), valid)
}

// rsaKey is the RSA signer's key in a key set.
func rsaKey(kid string) map[string]any {
	return jwk(&signers().rsa.PublicKey, map[string]any{"kid": kid, "use": "sig", "alg": "RS256"})
}

// Key sets have the keys that may sign, by kid, and no others.
func TestKeySet_Keys(t *testing.T) {
	s := signers()
	v := newProvider(t, keySetOf(rsaKey("rsa"), jwk(&s.otherRSA.PublicKey, map[string]any{"kid": "other"}),
		jwk(&s.ec.PublicKey, map[string]any{"key_ops": []string{"verify"}}), jwk(s.ed.Public(), map[string]any{"kid": "ed", "alg": "EdDSA"}))).follow(t, options())
	expect(t, v, rs("rsa"), "blog", "@ann")
	expect(t, v, rs("other"), "blog", "made the signature")
	expect(t, v, rs("unknown"), "blog", "has the algorithm and the kid")
	expect(t, v, sign(s.rsa, `{"alg":"RS256"}`, valid), "blog", "@ann")
	expect(t, v, sign(s.ec, `{"alg":"ES256","kid":"any"}`, valid), "blog", "@ann")
	expect(t, v, sign(s.ed, `{"alg":"EdDSA","kid":"ed"}`, valid), "blog", "@ann")
	expect(t, v, sign(s.ed, `{"alg":"EdDSA","kid":"rsa"}`, valid), "blog", "has the algorithm and the kid")
	expect(t, v, sign([]byte(publicPEM(&s.rsa.PublicKey)), `{"alg":"HS256","kid":"rsa"}`, valid), "blog", "has the algorithm and the kid")
}

// Keys that everybody can read, that are for another purpose, or too weak, are skipped.
func TestKeySet_SkippedKeys(t *testing.T) {
	s := signers()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	offCurve := jwk(&s.ec.PublicKey, nil)
	offCurve["y"] = offCurve["x"]
	for want, key := range map[string]map[string]any{
		"private key":     jwk(&s.rsa.PublicKey, map[string]any{"d": encode(s.rsa.D.Bytes())}),
		"shared secret":   {"kty": "oct", "k": encode([]byte(secret))},
		`use is "enc"`:    jwk(&s.rsa.PublicKey, map[string]any{"use": "enc"}),
		"key_ops":         jwk(&s.rsa.PublicKey, map[string]any{"key_ops": []string{"encrypt"}}),
		`algorithm "PS25`: jwk(&s.rsa.PublicKey, map[string]any{"alg": "PS256"}),
		`algorithm "HS25`: jwk(&s.rsa.PublicKey, map[string]any{"alg": "HS256"}),
		"1024 bits":       jwk(&small.PublicKey, nil),
		"number of an":    jwk(&s.rsa.PublicKey, map[string]any{"n": encode(make([]byte, 2000))}),
		"0 bits":          jwk(&s.rsa.PublicKey, map[string]any{"n": ""}),
		"exponent 1":      jwk(&s.rsa.PublicKey, map[string]any{"e": "AQ"}),
		"n or e":          jwk(&s.rsa.PublicKey, map[string]any{"e": "AQAAAAAB"}),
		`crv "P-384"`:     jwk(&p384.PublicKey, nil),
		"point":           offCurve,
		"x or y":          jwk(&s.ec.PublicKey, map[string]any{"x": "AQ"}),
		"32 bytes":        jwk(s.ed.Public(), map[string]any{"x": "AQ"}),
		`kty is "AKP"`:    {"kty": "AKP"},
		"not a key":       {"kty": 7},
	} {
		t.Run(want, func(t *testing.T) {
			keys, skipped, err := parseKeySet([]byte(keySetOf(key, jwk(s.ed.Public(), nil))))
			if err != nil || len(keys) != 1 || len(skipped) != 1 || !strings.Contains(skipped[0], want) {
				t.Error(keys, skipped, err)
			}
			if keys, _, err := parseKeySet([]byte(keySetOf(key))); err == nil || !strings.Contains(err.Error(), want) {
				t.Error(keys, err)
			}
		})
	}
}

func TestKeySet_NotASet(t *testing.T) {
	many := make([]map[string]any, maxKeys+1)
	for i := range many {
		many[i] = jwk(signers().ed.Public(), map[string]any{"kid": fmt.Sprint(i)})
	}
	if keys, _, err := parseKeySet([]byte(keySetOf(many[1:]...))); err != nil || len(keys) != maxKeys {
		t.Error(err)
	}
	for body, want := range map[string]string{
		"": "not a key set", "[]": "not a key set", "<html>": "not a key set", "{}": "not a key set", `{"keys":{}}`: "not a key set",
		`{"keys":[]}`: "the list is empty", `{"keys":[null]}`: "kty", keySetOf(many...): "at most 100",
	} {
		if _, _, err := parseKeySet([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, err, want)
		}
	}
}

// A token without kid does not make the service try many keys.
func TestKeySet_UnnamedKeyOfMany(t *testing.T) {
	key := signers().ed
	var keys []map[string]any
	for i := range maxUnnamed {
		keys = append(keys, jwk(key.Public(), map[string]any{"kid": fmt.Sprint(i)}))
	}
	token := sign(key, `{"alg":"EdDSA"}`, valid)
	expect(t, newProvider(t, keySetOf(keys...)).follow(t, options()), token, "blog", "@ann")
	keys = append(keys, jwk(key.Public(), map[string]any{"kid": "one more"}))
	expect(t, newProvider(t, keySetOf(keys...)).follow(t, options()), token, "blog", "(kid)")
}

// A token with a new kid is accepted at once. Forged ones cause no further fetches.
func TestKeySet_Rotation(t *testing.T) {
	o := options()
	o.Retry = time.Hour
	p := newProvider(t, keySetOf(rsaKey("old")))
	v := p.follow(t, o)
	expect(t, v, rs("old"), "blog", "@ann")
	p.set(keySetOf(rsaKey("new")))
	v.sets[0].forgetLastFetch()
	expect(t, v, rs("new"), "blog", "@ann")
	expect(t, v, rs("old"), "blog", "has the algorithm and the kid")
	for i := range 100 {
		expect(t, v, rs(fmt.Sprint("forged", i)), "blog", "has the algorithm and the kid")
	}
	if n := p.count(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// forgetLastFetch lets the time pass after which a token may cause a fetch.
func (s *keySet) forgetLastFetch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Time{}
}

// If a fetch fails, or its result is no key set, the last keys remain. A key that was removed from the set
// is refused after the next fetch.
func TestKeySet_Outage(t *testing.T) {
	o := options()
	o.Refresh, o.Retry = time.Millisecond, time.Millisecond
	p := newProvider(t, keySetOf(rsaKey("a")))
	v := p.follow(t, o)
	expect(t, v, rs("a"), "blog", "@ann")
	for _, body := range []string{"", "<html>", `{"keys":[]}`, strings.Repeat(" ", maxKeySet) + keySetOf(rsaKey("b"))} {
		p.set(body)
		before := v.sets[0].failures.Load()
		processtest.Eventually(t, "two requests failed", func() bool { return v.sets[0].failures.Load() > before+1 })
		expect(t, v, rs("a"), "blog", "@ann")
	}
	p.set(keySetOf(rsaKey("b")))
	processtest.Eventually(t, "the removed key is refused", func() bool {
		_, err := v.Visitor(t.Context(), rs("a"), "blog")
		return err != nil
	})
	expect(t, v, rs("b"), "blog", "@ann")
}

// Before the first successful fetch a token is neither accepted nor refused. After it the token is
// accepted.
func TestKeySet_NeverRead(t *testing.T) {
	o := options()
	o.Retry = time.Millisecond
	p := newProvider(t, "")
	v := p.follow(t, o)
	_, err := v.Visitor(t.Context(), rs("a"), "blog")
	if e := tally.AsError(err); e.Code != tally.CodeStoreUnavailable || e.RetryAfter == 0 {
		t.Error(err)
	}
	expect(t, v, hs(valid), "blog", "store_unavailable")
	expect(t, v, "forged", "blog", "bad_visitor")
	p.set(keySetOf(rsaKey("a")))
	processtest.Eventually(t, "the key set is read", func() bool {
		_, err := v.Visitor(t.Context(), rs("a"), "blog")
		return err == nil
	})
}

// A provider that hangs delays only tokens whose key is not known, for a moment. Their error has the time
// until the next attempt.
func TestKeySet_Hanging(t *testing.T) {
	o := options()
	o.Refresh, o.Retry = time.Hour, time.Millisecond
	p := newProvider(t, keySetOf(rsaKey("a")))
	v := p.follow(t, o)
	expect(t, v, rs("a"), "blog", "@ann")
	v.wait = 20 * time.Millisecond
	time.Sleep(2 * o.Retry)
	hold := make(chan struct{})
	p.holdRequests(hold)
	for range 3 {
		_, err := v.Visitor(t.Context(), rs("b"), "blog")
		if e := tally.AsError(err); e.Code != tally.CodeStoreUnavailable || e.RetryAfter != time.Second {
			t.Error(err)
		}
		expect(t, v, rs("a"), "blog", "@ann")
	}
	p.set(keySetOf(rsaKey("a"), rsaKey("b")))
	close(hold)
	processtest.Eventually(t, "the new key is accepted", func() bool {
		_, err := v.Visitor(t.Context(), rs("b"), "blog")
		return err == nil
	})
	if n := p.count(); n > 3 {
		t.Errorf("%d requests", n)
	}
}

// While the provider is away, the error about a token with an unknown key comes at once. The token may be
// sent again later, since the provider may have the key.
func TestKeySet_UnknownKeyDuringOutage(t *testing.T) {
	o := options()
	o.Refresh, o.Retry = time.Millisecond, time.Hour
	p := newProvider(t, keySetOf(rsaKey("a")))
	v := p.follow(t, o)
	expect(t, v, rs("a"), "blog", "@ann")
	p.set("")
	processtest.Eventually(t, "a request failed", func() bool { return v.sets[0].failures.Load() > 0 })
	v.wait = time.Hour
	for range 3 {
		_, err := v.Visitor(t.Context(), rs("b"), "blog")
		if e := tally.AsError(err); e.Code != tally.CodeStoreUnavailable || e.RetryAfter < time.Minute {
			t.Error(err)
		}
	}
	expect(t, v, rs("a"), "blog", "@ann")
	expect(t, v, hs(valid), "blog", "store_unavailable")
	expect(t, v, "forged", "blog", "bad_visitor")
}

// Key sets travel encrypted: redirects do not leave https.
func TestKeySet_Redirects(t *testing.T) {
	p := newProvider(t, keySetOf(rsaKey("a")))
	for target, isFollowed := range map[string]bool{p.URL: true, "http://plain.example/jwks": false, "/loop": false} {
		from := httptest.NewServer(http.RedirectHandler(target, http.StatusFound))
		defer from.Close()
		set := newKeySet(from.URL, options())
		_, _, err := set.fetch(t.Context())
		if isFollowed != (err == nil) {
			t.Errorf("%s: %v", target, err)
		}
		set.client.CloseIdleConnections()
	}
	secure := httptest.NewTLSServer(http.RedirectHandler(p.URL, http.StatusFound))
	defer secure.Close()
	set := newKeySet(secure.URL, options())
	set.client.Transport = secure.Client().Transport
	if _, _, err := set.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Error(err)
	}
}

func TestParseKeySetURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://login.example/jwks": true, "http://127.0.0.1:1/": true, "http://[::1]/": true, "http://localhost/x": true,
		"http://login.example/jwks": false, "http://127.0.0.1.example/": false, "login.example": false, "": false, "file:///etc/passwd": false,
		"https://a:b@login.example/": false, "https://": false, "http://localhost.example/": false,
	} {
		if _, err := ParseKeySetURL(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzKeySet(f *testing.F) {
	s := signers()
	for _, body := range []string{"", `{"keys":[]}`, keySetOf(rsaKey("a")), keySetOf(jwk(&s.ec.PublicKey, nil), jwk(s.ed.Public(), nil)), `{"keys":[{"kty":"RSA","n":"AQ","e":"Aw"}]}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, _, err := parseKeySet(body)
		if err == nil && (len(keys) == 0 || len(keys) > maxKeys) {
			t.Fatal(len(keys))
		}
		for _, key := range keys {
			if algorithm, err := algorithmOf(key.material); err != nil || algorithm != key.algorithm || algorithm == hs256 {
				t.Fatal(algorithm, err)
			}
		}
	})
}
