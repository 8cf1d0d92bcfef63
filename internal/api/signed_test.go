package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/visitortoken"
)

const visitorKey = "0123456789abcdef0123456789abcdef"

// tokenFor returns a token that the backend of a site signs with key.
func tokenFor(key, subject string, age time.Duration) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":%q,"exp":%d}`, subject, time.Now().Add(time.Hour-age).Unix()))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// signedKeys gives all sites a key, the wiki a further one, and makes blog and wiki
// signed-only.
func signedKeys(t testing.TB) func(*Options) {
	common, err := visitortoken.SecretKey(visitorKey)
	if err != nil {
		t.Fatal(err)
	}
	own, err := visitortoken.SecretKey("wiki" + visitorKey)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) {
		o.VisitorTokens = visitortoken.New([]visitortoken.Source{{Keys: []visitortoken.Key{common}}, {Site: "wiki", Keys: []visitortoken.Key{own}}}, visitortoken.Options{})
		o.SignedSites = map[string]bool{"blog": true, "wiki": true}
		o.ServerToken = "0123456789abcdef"
	}
}

// A signed visitor is one visitor on every device and by every call, and not the client's
// visitor with the same text.
func TestSigned_OneVisitor(t *testing.T) {
	r := newRig(t, signedKeys(t))
	token := tokenFor(visitorKey, "ann-visitor", 0)
	const path = "/v1/default/likes/x"
	r.do("POST", path, `{"visitor":"ann-visitor"}`).contains(`"count":1`)
	r.do("POST", path, `{"visitor_token":"`+token+`"}`).hasStatus(200).contains(`"count":2`).contains(`"mine":1,"changed":true`)
	r.do("POST", path, `{"visitor":"other-device","visitor_token":"`+tokenFor(visitorKey, "ann-visitor", time.Minute)+`"}`).contains(`"changed":false`)
	r.do("POST", path, `{"visitor_token":"`+strings.Replace(token, "e", `\u0065`, 1)+`"}`).contains(`"changed":false`)
	r.do("POST", path, `{"visitor_token":null}`, "Tally-Visitor-Token", token, "Tally-Visitor", "other-device").contains(`"changed":false`)
	r.do("GET", path, "", "Tally-Visitor-Token", token).contains(`"mine":1`).hasHeader("Cache-Control", "private, no-store")
	r.do("POST", "/v1/counts", `{"topics":["default/likes/x"],"visitor_token":"`+token+`"}`).contains(`"mine":1`)
	r.do("GET", "/v1/counts?topic=default/likes/x", "", "Tally-Visitor-Token", token).contains(`"mine":1`)
	if got := r.socket().ask(`{"assert":"default/likes/x","visitor_token":"` + token + `","id":1}`); !strings.Contains(got, `"mine":1,"changed":false`) {
		t.Error(got)
	}
	if got := r.socket("Tally-Visitor-Token", token).ask(`{"assert":"default/likes/x","id":1}`); !strings.Contains(got, `"mine":1,"changed":false`) {
		t.Error(got)
	}
	r.do("DELETE", path, "", "Tally-Visitor-Token", token).contains(`"count":1`).contains(`"mine":0,"changed":true`)
	r.do("POST", path, `{"visitor":"ann-visitor","amount":0}`).contains(`"count":0`)
	r.do("OPTIONS", path, "").hasStatus(204)
	if allowed := r.do("OPTIONS", path, "").header.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, "Tally-Visitor-Token") {
		t.Error(allowed)
	}
}

// An invalid token is an error in each call. It never falls back to another visitor.
func TestSigned_InvalidToken(t *testing.T) {
	r := newRig(t, signedKeys(t))
	s := r.socket()
	const path = "/v1/default/likes/x"
	for _, token := range []string{tokenFor(visitorKey, "ann", 2*time.Hour), tokenFor("other"+visitorKey, "ann", 0), "forged", "@ann"} {
		r.do("POST", path, `{"visitor":"ann-visitor","visitor_token":"`+token+`"}`).hasError(400, tally.CodeBadVisitor)
		for _, method := range []string{"GET", "POST", "DELETE"} {
			r.do(method, path, "", "Tally-Visitor-Token", token, "Tally-Visitor", "ann-visitor").hasError(400, tally.CodeBadVisitor)
		}
		r.do("POST", "/v1/counts", `{"topics":["default/likes/x"],"visitor":"ann-visitor","visitor_token":"`+token+`"}`).hasError(400, tally.CodeBadVisitor)
		if got := s.ask(`{"assert":"default/likes/x","visitor":"ann-visitor","visitor_token":"` + token + `","id":1}`); !strings.HasPrefix(got, `{"id":1,"error":{"code":"bad_visitor"`) {
			t.Error(got)
		}
	}
	for _, value := range []string{`""`, "7", "{}"} {
		r.do("POST", path, `{"visitor_token":`+value+`}`).hasError(400, tally.CodeBadVisitor)
	}
	r.do("POST", path, "", "Tally-Visitor-Token", "").hasError(400, tally.CodeBadVisitor)
	ann, bob := tokenFor(visitorKey, "ann", 0), tokenFor(visitorKey, "bob", 0)
	r.do("POST", path, `{"visitor_token":"`+ann+`"}`, "Tally-Visitor-Token", bob).hasError(400, tally.CodeBadVisitor).contains("two visitor tokens")
	r.do("POST", path, "", "Tally-Visitor-Token", ann, "Tally-Visitor-Token", bob).hasError(400, tally.CodeBadVisitor)
	r.do("GET", path+"?visitor_token="+ann, "").hasError(400, tally.CodeBadVisitor).contains("never send")
	r.do("POST", path, `{"visitor":"@ann-visitor"}`).hasError(400, tally.CodeBadVisitor)
	r.do("POST", path, "", "Tally-Visitor", "@ann-visitor").hasError(400, tally.CodeBadVisitor)
	r.do("GET", path, "").contains(`"count":0`)
}

// In a list a token counts for the sites that accept it.
func TestSigned_TokenOfASite(t *testing.T) {
	r := newRig(t, signedKeys(t))
	token := tokenFor("wiki"+visitorKey, "ann", 0)
	r.do("POST", "/v1/wiki/likes/x", `{"visitor_token":"`+token+`"}`).hasStatus(200)
	r.do("POST", "/v1/blog/likes/x", `{"visitor_token":"`+token+`"}`).hasError(400, tally.CodeBadVisitor)
	got := r.do("POST", "/v1/counts", `{"topics":["blog/likes/x","wiki/likes/x","bad"],"visitor_token":"`+token+`"}`).hasStatus(200)
	got.contains(`{"topic":"blog/likes/x","error":{"code":"bad_visitor"`).contains(`"topic":"wiki/likes/x","count":1`).contains(`"mine":1`).contains("bad_topic")
}

// If no site of a list accepts a token, the error is always that of the first topic.
func TestSigned_TokenOfNoSite(t *testing.T) {
	r := newRig(t, signedKeys(t))
	expired := tokenFor("wiki"+visitorKey, "ann", 2*time.Hour) // in the wiki; the blog does not know its key
	for range 20 {
		r.do("POST", "/v1/counts", `{"topics":["bad","blog/likes/x","wiki/likes/x"],"visitor_token":"`+expired+`"}`).hasError(400, tally.CodeBadVisitor).contains("signature")
		r.do("POST", "/v1/counts", `{"topics":["wiki/likes/x","blog/likes/x"],"visitor_token":"`+expired+`"}`).hasError(400, tally.CodeBadVisitor).contains("expired")
	}
}

// A signed-only site refuses likes, amounts and choices of others, also from forms and with the
// server token. Everybody may read it, and the service counts their visits.
func TestSigned_OnlySite(t *testing.T) {
	r := newRig(t, signedKeys(t))
	token := tokenFor(visitorKey, "ann", 0)
	s := r.socket()
	for topic, body := range map[string]string{"likes/x": `"amount":1`, "claps/x": `"amount":7`, "votes/x": `"option":2`} {
		for _, visitor := range []string{"", `"visitor":"ann-visitor",`} {
			r.do("POST", "/v1/blog/"+topic, "{"+visitor+body+"}").hasError(403, tally.CodeSignedVisitor)
		}
		r.do("DELETE", "/v1/blog/"+topic, "").hasError(403, tally.CodeSignedVisitor)
		if got := s.ask(`{"assert":"blog/` + topic + `","visitor":"ann-visitor","id":1,` + body + "}"); !strings.HasPrefix(got, `{"id":1,"error":{"code":"signed_visitor_required"`) {
			t.Error(got)
		}
		r.do("POST", "/v1/blog/"+topic, `{"visitor_token":"`+token+`",`+body+"}").hasStatus(200).contains(`"changed":true`)
	}
	r.do("POST", "/v1/blog/likes/x", `{"visitor":"ann-visitor"}`, "Authorization", "Bearer 0123456789abcdef").hasError(403, tally.CodeSignedVisitor)
	r.do("POST", "/v1/blog/likes/x", "return=/post", "Content-Type", urlencoded).hasError(403, tally.CodeSignedVisitor)
	r.do("POST", "/v1/blog/likes/x", "return=/post&visitor_token="+token, "Content-Type", urlencoded).hasError(400, tally.CodeBadVisitor)
	r.do("POST", "/v1/blog/readers/x", "").hasError(405, tally.CodeReadOnlyMetric)
	for _, topic := range []string{"visitors/x", "views/x"} {
		r.do("POST", "/v1/blog/"+topic, "").hasStatus(200).contains(`"count":1`)
		r.do("POST", "/v1/blog/"+topic, `{"visitor_token":"`+token+`"}`).hasStatus(200).contains(`"count":2`)
	}
	r.do("GET", "/v1/blog/likes/x", "").contains(`"count":1`)
	r.do("POST", "/v1/default/likes/x", `{"visitor":"ann-visitor"}`).hasStatus(200)
}

// Verifications are limited per address, also of tokens that are refused.
func TestSigned_ReadLimit(t *testing.T) {
	r := newRig(t, func(o *Options) {
		signedKeys(t)(o)
		o.Limits = limits(1000, 2, 1000)
	})
	s := r.socket()
	for n := range 20 {
		got := s.ask(fmt.Sprintf(`{"assert":"blog/likes/x","visitor_token":"forged","id":%d}`, n))
		if strings.Contains(got, `"rate_limited"`) && strings.Contains(got, "retry_after") {
			return
		}
	}
	t.Error("no limit")
}

// A like of a signed visitor, to compare with BenchmarkLike.
func BenchmarkLike_Signed(b *testing.B) {
	r := newRig(b, func(o *Options) {
		signedKeys(b)(o)
		o.Logger = nil
		o.Limits = limits(1_000_000, 500_000, 1_000_000)
	})
	like := likeRequestOf(r, `{"visitor_token":"`+tokenFor(visitorKey, "ann", 0)+`","amount":1}`)
	b.ReportAllocs()
	for b.Loop() {
		like()
	}
}
