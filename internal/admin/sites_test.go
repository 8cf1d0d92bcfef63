package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// adminAddress is the address of every client of these tests.
const adminAddress = "198.51.100.77"

// sites is a service with data in the sites blog and docs, and its tokens.
type sites struct {
	t      *testing.T
	server *admin.Server
	owner  *owner.Service
	store  *hookedStore
	tokens map[string]string // by name
}

// answerOf is a response with the body that was read.
type answerOf struct {
	status int
	header http.Header
	body   string
}

func newSites(t *testing.T, prepare func(*hookedStore)) *sites {
	t.Helper()
	catalog := tally.NewCatalog([]string{"blog", "docs"}, tally.DefaultMetrics())
	real, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	store := &hookedStore{Store: real}
	if prepare != nil {
		prepare(store)
	}
	service := tally.NewService(store, catalog)
	use := owner.New(store, service, owner.Options{})
	s := &sites{
		t: t, owner: use, store: store, tokens: map[string]string{"admin": token},
		server: admin.New(admin.Options{Owner: use, Token: token, StoreName: "sqlite:secret.db", Logger: slog.New(slog.DiscardHandler), Pages: fstest.MapFS{"index.html": {Data: []byte("<p>hello")}}}),
	}
	for _, site := range []string{"blog", "docs"} {
		for i := range 40 {
			topic, _ := tally.ParseTopic(site + "/likes/page-of-" + site)
			if _, err := service.Assert(t.Context(), tally.Assertion{Topic: topic, Visitor: fmt.Sprint("visitor-", i), Amount: 1, Client: netip.MustParseAddr("192.0.2.7"), MayCreate: true}); err != nil {
				t.Fatal(err)
			}
		}
		if err := use.Block(t.Context(), "admin "+adminAddress, owner.BlockTarget{Site: site, Addresses: netip.MustParsePrefix("203.0.113.0/24")}, "robots at 203.0.113.9"); err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string]owner.Token{
		"viewer": {Role: owner.Viewer, Sites: []string{"blog"}}, "editor": {Role: owner.Editor, Sites: []string{"blog"}},
		"both": {Role: owner.Editor, Sites: []string{"blog", "docs"}},
	} {
		of.Name = name
		if _, s.tokens[name], err = use.CreateToken(t.Context(), "admin "+adminAddress, of); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// send sends a call with the headers given, "Name: value" each.
func (s *sites) send(ctx context.Context, method, path, body string, headers ...string) answerOf {
	s.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, "/admin/v1/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "import") {
		r.Header.Set("Content-Type", "application/jsonl")
	}
	for _, each := range headers {
		name, value, _ := strings.Cut(each, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	address := netip.MustParseAddr(adminAddress)
	s.server.ServeAdmin(w, r, admin.Caller{Address: address, Client: address, SameOrigin: true, RequestID: "id"})
	return answerOf{w.Code, w.Header(), w.Body.String()}
}

// header sends a call with a token in the header.
func (s *sites) header(name, method, path, body string) answerOf {
	s.t.Helper()
	return s.send(s.t.Context(), method, path, body, "Authorization: Bearer "+s.tokens[name])
}

// signIn returns the cookie and the CSRF secret of a new session.
func (s *sites) signIn(name string) (cookie, csrf string) {
	s.t.Helper()
	signedIn := s.send(s.t.Context(), "POST", "session", `{"token":"`+s.tokens[name]+`"}`)
	cookie, _, _ = strings.Cut(signedIn.header.Get("Set-Cookie"), ";")
	var session struct{ CSRF string }
	if err := json.Unmarshal([]byte(s.send(s.t.Context(), "GET", "session", "", "Cookie: "+cookie).body), &session); err != nil || session.CSRF == "" {
		s.t.Fatalf("%s cannot sign in: %+v, error %v", name, signedIn, err)
	}
	return cookie, session.CSRF
}
