package visitortoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time of the tests, and secret their shared secret.
var now = time.Unix(1_790_000_000, 0)

const secret = "0123456789abcdef0123456789abcdef"

// signers are one private key of each kind. They are made once, since RSA keys take long.
var signers = sync.OnceValue(func() (s struct {
	rsa, otherRSA *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}) {
	s.rsa = must(rsa.GenerateKey(rand.Reader, 2048))
	s.otherRSA = must(rsa.GenerateKey(rand.Reader, 2048))
	s.ec = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, s.ed, _ = ed25519.GenerateKey(rand.Reader) // rand.Reader never fails
	return s
})

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// sign returns the token with a header and claims as they are given. key is a private key, or
// a []byte for HS256; nil leaves the signature empty.
func sign(key any, header, claims string) string {
	text := encode([]byte(header)) + "." + encode([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	switch key := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	case *rsa.PrivateKey:
		signature = must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(text))
	}
	return text + "." + encode(signature)
}

// valid are the claims of a token that is valid for a minute.
var valid = fmt.Sprintf(`{"sub":"ann","exp":%d}`, now.Unix()+60)

// hs returns a token with claims, signed with the shared secret.
func hs(claims string) string { return sign([]byte(secret), `{"alg":"HS256","typ":"JWT"}`, claims) }

func publicPEM(key any) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))}))
}

// options have the clock of the tests.
func options() Options {
	return Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
}

// withSecret returns a verifier with the shared secret for all sites.
func withSecret() *Verifier {
	return New([]Source{{Keys: []Key{must(SecretKey(secret))}}}, options())
}

// jwk returns a public key as a member of a key set, with further members.
func jwk(key any, more map[string]any) map[string]any {
	var k map[string]any
	switch key := key.(type) {
	case *rsa.PublicKey:
		k = map[string]any{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		k = map[string]any{"kty": "EC", "crv": key.Params().Name, "x": encode(point[1 : 1+len(point)/2]), "y": encode(point[1+len(point)/2:])}
	case ed25519.PublicKey:
		k = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(key)}
	}
	for name, value := range more {
		k[name] = value
	}
	return k
}

func keySetOf(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// provider serves a key set.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	body     string // empty: 503
	requests int
	hold     chan struct{} // requests wait until it is closed, unless it is nil
}

func newProvider(t testing.TB, body string) *provider {
	p := &provider{body: body}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests++
		body, hold := p.body, p.hold
		p.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		if body == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(body)) // the client may have disconnected
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

func (p *provider) holdRequests(until chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = until
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// follow returns a running verifier with the key set of p. It waits longer for a key set than a
// slow machine needs.
func (p *provider) follow(t testing.TB, o Options) *Verifier {
	v := New([]Source{{KeySetURL: must(ParseKeySetURL(p.URL + "/jwks.json"))}}, o)
	v.wait = time.Minute
	return run(t, v)
}

// run runs v until the test ends.
func run(t testing.TB, v *Verifier) *Verifier {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return v
}

// expect checks that a token names the visitor want or, if want begins with a code, that the
// error contains want.
func expect(t *testing.T, v *Verifier, token, site, want string) {
	t.Helper()
	visitor, err := v.Visitor(t.Context(), token, site)
	switch {
	case strings.HasPrefix(want, "@") && (err != nil || visitor != want):
		t.Errorf("%q, %v, want %q", visitor, err, want)
	case !strings.HasPrefix(want, "@") && (err == nil || visitor != "" || !strings.Contains(err.Error(), want)):
		t.Errorf("%q, %v, want %q", visitor, err, want)
	}
}
