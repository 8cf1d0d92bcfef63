package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// client sends requests to one listener of a service.
type client struct {
	t    testing.TB
	url  string // with the base path
	http *http.Client
}

func newClient(t testing.TB, url string) *client { return newClientFrom(t, url, "") }

// newClientFrom returns a client that sends from a loopback address, if not empty.
func newClientFrom(t testing.TB, url, from string) *client {
	dialer := net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 64}
	c := &client{t: t, url: url, http: &http.Client{
		Transport: transport,
		Timeout:   waitTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // tests check the redirect
		},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// from returns a client that sends from another loopback address.
func (c *client) from(address string) *client { return newClientFrom(c.t, c.url, address) }

// response is a response and the request that it belongs to.
type response struct {
	t       testing.TB
	request string
	status  int
	header  http.Header
	body    string
}

// count is a topic's state in JSON.
type count struct {
	Topic   string
	Count   int64
	Version int64
	Mine    *int64
	Changed *bool
	Stale   bool
	Error   *struct {
		Code, Message string
		RetryAfter    int64 `json:"retry_after"` // of an assertion
	}
}

// try sends a request with the given header lines.
func (c *client) try(method, path, body string, lines ...string) (response, error) {
	request, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			request.Host = value
			continue
		}
		request.Header.Add(name, value)
	}
	r, err := c.http.Do(request)
	if err != nil {
		return response{}, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return response{c.t, method + " " + path + " " + strings.Join(lines, " ") + " " + clip(body), r.StatusCode, r.Header, string(text)}, err
}

// clip shortens what a failing test prints.
func clip(text string) string {
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}

func (c *client) do(method, path, body string, lines ...string) response {
	c.t.Helper()
	a, err := c.try(method, path, body, lines...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) get(path string, lines ...string) response {
	c.t.Helper()
	return c.do("GET", path, "", lines...)
}

// status returns the status of a GET; 0 if there is no response.
func (c *client) status(path string) int {
	a, err := c.try("GET", path, "")
	if err != nil {
		return 0
	}
	return a.status
}

// like asserts a contribution, which must be acknowledged.
func (c *client) like(topic, visitor, amount string) count {
	c.t.Helper()
	return c.do("POST", "/v1/"+topic, `{"visitor":"`+visitor+`","amount":`+amount+`}`).count()
}

// read reads a topic's state.
func (c *client) read(topic string) count {
	c.t.Helper()
	return c.get("/v1/" + topic).count()
}

// wantStatus checks the status.
func (a response) wantStatus(status int) response {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: %d, want %d; %s", a.request, a.status, status, clip(a.body))
	}
	return a
}

// decode decodes the body of a 200 in JSON.
func (a response) decode(into any) {
	a.t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		a.t.Errorf("%s: %d %s, want 200 application/json; %s", a.request, a.status, a.header.Get("Content-Type"), clip(a.body))
		return
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		a.t.Errorf("%s: %v in %s", a.request, err, clip(a.body))
	}
}

// count decodes one topic's state.
func (a response) count() (c count) {
	a.t.Helper()
	a.decode(&c)
	return c
}

// counts decodes a list of states, under counts or top.
func (a response) counts() []count {
	a.t.Helper()
	var list struct{ Counts, Top []count }
	a.decode(&list)
	return append(list.Counts, list.Top...)
}

// wantHeader checks the value of a header.
func (a response) wantHeader(name, want string) response {
	a.t.Helper()
	if got := strings.Join(a.header.Values(name), ", "); got != want {
		a.t.Errorf("%s: %s: %q, want %q", a.request, name, got, want)
	}
	return a
}

// wantListed checks that a header lists each of the words.
func (a response) wantListed(name string, words ...string) response {
	a.t.Helper()
	listed := map[string]bool{}
	for word := range strings.SplitSeq(strings.Join(a.header.Values(name), ","), ",") {
		listed[strings.ToLower(strings.TrimSpace(word))] = true
	}
	for _, word := range words {
		if !listed[strings.ToLower(word)] {
			a.t.Errorf("%s: %s lists %v without %s", a.request, name, a.header.Values(name), word)
		}
	}
	return a
}

// wantBody checks that the body contains a text.
func (a response) wantBody(text string) response {
	a.t.Helper()
	if !strings.Contains(a.body, text) {
		a.t.Errorf("%s: no %q in %s", a.request, text, clip(a.body))
	}
	return a
}

// wantProblem checks that the response is a problem document (RFC 9457) with a status and a
// code, and is not cached.
func (a response) wantProblem(status int, code string) response {
	a.t.Helper()
	var problem struct {
		Type, Title, Code, Detail string
		Status                    int
	}
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s: %d %s, want %d application/problem+json; %s", a.request, a.status, a.header.Get("Content-Type"), status, clip(a.body))
		return a
	}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		a.t.Errorf("%s: %v in %s", a.request, err, clip(a.body))
	}
	if problem.Code != code || problem.Status != status || problem.Title == "" || problem.Detail == "" || problem.Type == "" {
		a.t.Errorf("%s: want code %s in %s", a.request, code, clip(a.body))
	}
	a.wantHeader("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if wait := a.header.Get("Retry-After"); wait == "" || wait == "0" || strings.Trim(wait, "0123456789") != "" {
			a.t.Errorf("%s: Retry-After: %q, want whole seconds", a.request, wait)
		}
	}
	return a
}
