package e2e_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A reader who signed in counts once, through every instance, and sees the like on each. The
// keys come from a provider's key set, which may go away.
func TestSigned_Instances(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}]}`, encode(key.Public().(ed25519.PublicKey)))
	}))
	defer provider.Close()
	text := encode([]byte(`{"alg":"EdDSA","kid":"a"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":"ann","aud":"blog","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	token := text + "." + encode(ed25519.Sign(key, []byte(text)))
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}), "--site", "blog=visitors=signed", "--visitor-jwks", "blog="+provider.URL)

	for _, s := range []*service{a, b, a} {
		if c := s.do("POST", "/v1/blog/likes/x", `{"visitor_token":"`+token+`"}`).count(); c.Count != 1 || *c.Mine != 1 {
			t.Errorf("%+v", c)
		}
		if got := s.do("POST", "/v1/blog/likes/x", `{"visitor":"ann-visitor"}`); got.status != 403 || !strings.Contains(got.body, "signed_visitor_required") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	provider.Close()
	if c := b.do("DELETE", "/v1/blog/likes/x", "", "Tally-Visitor-Token: "+token).count(); c.Count != 0 || !*c.Changed {
		t.Errorf("%+v", c)
	}
	if c := a.do("GET", "/v1/blog/likes/x", "", "Tally-Visitor-Token: "+token).count(); c.Count != 0 || *c.Mine != 0 {
		t.Errorf("%+v", c)
	}
}
