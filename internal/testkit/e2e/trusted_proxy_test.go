package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startPage serves a page with body and returns its address.
func startPage(t *testing.T, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html>"+body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A trusted proxy names its clients in one of three headers. Visitors without an id are
// told apart by each.
func TestTrustedProxy_ClientOfEachHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, "--trusted-proxy", "127.0.0.1")
	like := func(key, header string) response { return s.do("POST", "/v1/default/likes/"+key, "", header) }
	for key, format := range map[string]string{
		"xff": "X-Forwarded-For: %s", "real": "X-Real-IP: %s", "forwarded": "Forwarded: for=%s;proto=https", "quoted": `Forwarded: proto=https;for="%s:4711"`,
	} {
		for i, client := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.2"} {
			if c := like(key, fmt.Sprintf(format, client)).count(); c.Count != min(int64(i)+1, 2) || *c.Changed != (i < 2) {
				t.Errorf("%s, client %s: %+v", key, client, c)
			}
		}
	}
	for _, header := range []string{"X-Forwarded-For: unknown", "X-Real-IP: unknown", "Forwarded: for=unknown", "Forwarded: for=_hidden", "Forwarded: proto=https"} {
		name, _, _ := strings.Cut(header, ":")
		like("hidden", header).wantProblem(400, "bad_visitor").wantBody("--trusted-proxy").wantBody(http.CanonicalHeaderKey(name))
	}
	warnings := s.Log.Records("a proxy named in --trusted-proxy sends a header that names no client address: its clients share one address for limits, and cannot like without a visitor id; configure the proxy to set the client's address, or to remove the header")
	if len(warnings) != 1 || warnings[0]["header"] != "X-Forwarded-For" || warnings[0]["level"] != "WARN" {
		t.Errorf("warnings: %v", warnings)
	}
	// From a peer that is not trusted none of them counts.
	other := s.from("127.0.0.2")
	for _, header := range []string{"X-Forwarded-For: 203.0.113.1", "X-Real-IP: 203.0.113.1", "Forwarded: for=203.0.113.1"} {
		other.do("POST", "/v1/default/likes/x", "", header).wantProblem(400, "bad_visitor")
	}
}

// A trusted proxy that names no client causes one warning, and doctor reports it.
func TestTrustedProxy_NoHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, "--trusted-proxy", "127.0.0.1", "--allow-origin", "*")
	page := startPage(t, `<script type="module" src="`+s.url+`/tally.js"></script><tally-like></tally-like>`)
	if code, out, errors := run(t, nil, "doctor", page); code != 0 || !strings.Contains(out, "ok    address") {
		t.Errorf("doctor before: exit %d\n%s%s", code, out, errors)
	}
	for i := range 20 {
		s.do("POST", "/v1/default/likes/x", "", fmt.Sprintf("User-Agent: browser/%d", i)).wantStatus(200)
	}
	warned := 0
	for line := range strings.Lines(s.Log.String()) {
		if strings.Contains(line, "does not name its clients") && strings.Contains(line, "127.0.0.1") && strings.Contains(line, "WARN") {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("warned %d times:\n%s", warned, s.Log)
	}
	if code, out, errors := run(t, nil, "doctor", page); code != 1 || !strings.Contains(out, "FAIL  address") || !strings.Contains(out, "--trusted-proxy") {
		t.Errorf("doctor: exit %d\n%s%s", code, out, errors)
	}
}
