package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestClient_ForwardingHeaders(t *testing.T) {
	trusting := &API{options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, Logger: slog.New(slog.DiscardHandler)}}
	const xff, forwarded, realIP = "X-Forwarded-For", "Forwarded", "X-Real-Ip"
	const proxy = "10.0.0.1:99"
	for _, row := range []struct {
		peer   string
		header http.Header
		client string
		hidden string // the header that hides the client
	}{
		{"192.0.2.1:99", nil, "192.0.2.1", ""},
		{"[::ffff:192.0.2.1]:99", nil, "192.0.2.1", ""},
		{"[2001:db8:1:2:3:4:5:6]:99", nil, "2001:db8:1:2::", ""},
		{"[fe80::1%eth0]:99", nil, "fe80::", ""},
		{"@", nil, "::", ""},

		// The peer is not trusted.
		{"192.0.2.1:99", http.Header{xff: {"198.51.100.7"}}, "192.0.2.1", xff},
		{"192.0.2.1:99", http.Header{forwarded: {"for=198.51.100.7"}}, "192.0.2.1", forwarded},
		{"192.0.2.1:99", http.Header{realIP: {"198.51.100.7"}}, "192.0.2.1", realIP},

		{proxy, nil, "10.0.0.1", ""},
		{proxy, http.Header{xff: {"198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"1.1.1.1, 198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"1.1.1.1", "198.51.100.7, 10.2.3.4"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"198.51.100.7:1234"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"[2001:db8:1:2::9]:1234"}}, "2001:db8:1:2::", ""},
		{proxy, http.Header{xff: {"2001:db8:1:2::9"}}, "2001:db8:1:2::", ""},
		{proxy, http.Header{xff: {"::ffff:198.51.100.7"}}, "198.51.100.7", ""},
		{"[fd00::1]:99", http.Header{xff: {"198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"10.0.0.7, 10.0.0.6"}}, "10.0.0.7", ""},
		{proxy, http.Header{xff: {"unknown, 198.51.100.7, 10.0.0.6"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"198.51.100.7, ,"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"198.51.100.7", ""}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"198.51.100.7, unknown"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"unknown, 10.0.0.7"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"unknown"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"unix:"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"-"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"localhost"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"0.0.0.0"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {"[1.1.1.1"}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {""}}, "10.0.0.1", xff},
		{proxy, http.Header{xff: {",,"}}, "10.0.0.1", xff},

		{proxy, http.Header{forwarded: {"for=198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {`For="198.51.100.7:80";proto=https;by=203.0.113.43`}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {`proto=https; host="a,b;c=d" ; for="[2001:db8:1:2::9]:47011"`}}, "2001:db8:1:2::", ""},
		{proxy, http.Header{forwarded: {`for="[2001:db8:1:2::9]"`}}, "2001:db8:1:2::", ""},
		{proxy, http.Header{forwarded: {"for=[2001:db8:1:2::9]"}}, "2001:db8:1:2::", ""}, // without the quotes, as some send it
		{proxy, http.Header{forwarded: {"for=1.1.1.1, for=198.51.100.7, for=10.0.0.6;by=10.0.0.1"}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {"for=1.1.1.1", "for=198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {"for=10.0.0.7,for=10.0.0.6"}}, "10.0.0.7", ""},
		{proxy, http.Header{forwarded: {"for=unknown, for=198.51.100.7, for=10.0.0.6,"}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {"for=198.51.100.7, for=unknown"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"for=unknown"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"for=_hidden, for=10.0.0.6"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {`for="_gazonk"`}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"proto=https;host=h"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"for=1.1.1.1, proto=https"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {""}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {",;,"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"198.51.100.7"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {"for=1.1.1.1;for=2.2.2.2"}}, "10.0.0.1", forwarded},
		// A client cannot hide the proxy's element in a quoted string.
		{proxy, http.Header{forwarded: {`for=1.1.1.1;x="`, "for=198.51.100.7"}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {`for=1.1.1.1;x=", for=198.51.100.7;by="[::1]"`}}, "10.0.0.1", forwarded},
		{proxy, http.Header{forwarded: {`for=1.1.1.1;x="\`, `", for=198.51.100.7`}}, "10.0.0.1", forwarded},

		{proxy, http.Header{realIP: {"198.51.100.7"}}, "198.51.100.7", ""},
		{proxy, http.Header{realIP: {" 2001:db8:1:2::9 "}}, "2001:db8:1:2::", ""},
		{proxy, http.Header{realIP: {"10.0.0.7"}}, "10.0.0.7", ""},
		{proxy, http.Header{realIP: {"unknown"}}, "10.0.0.1", realIP},
		{proxy, http.Header{realIP: {""}}, "10.0.0.1", realIP},
		{proxy, http.Header{realIP: {"1.1.1.1, 198.51.100.7"}}, "10.0.0.1", realIP},
		{proxy, http.Header{realIP: {"1.1.1.1", "198.51.100.7"}}, "10.0.0.1", realIP},

		// The order of the headers.
		{proxy, http.Header{xff: {"198.51.100.7"}, forwarded: {"for=1.1.1.1"}, realIP: {"2.2.2.2"}}, "198.51.100.7", ""},
		{proxy, http.Header{forwarded: {"for=198.51.100.7"}, realIP: {"2.2.2.2"}}, "198.51.100.7", ""},
		{proxy, http.Header{xff: {"unknown"}, realIP: {"2.2.2.2"}}, "10.0.0.1", xff},
	} {
		r := &http.Request{RemoteAddr: row.peer, Header: row.header}
		if got := trusting.clientOf(r); got.limitAddress().String() != row.client || got.hidingHeader != row.hidden {
			t.Errorf("%s with %q: client %s, hidden by %q; want %s, %q", row.peer, row.header, got.limitAddress(), got.hidingHeader, row.client, row.hidden)
		}
	}
}

func TestTrustedProxy_UnusableHeader(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = private })
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"} {
		r.do("POST", "/v1/blog/likes/x", "", header, "unknown").hasError(400, "bad_visitor").contains("--trusted-proxy").contains(http.CanonicalHeaderKey(header))
	}
	r.do("POST", "/v1/blog/likes/x", `{"visitor":"`+ann+`"}`, "X-Forwarded-For", "unknown").hasStatus(200)
	if text := r.log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "header=X-Forwarded-For") || !strings.Contains(text, "--trusted-proxy") {
		t.Errorf("warnings: %s", text)
	}
}

// A silent proxy is reported once: with its address in the log, and without it in
// /readyz, which everybody can read.
func TestSilentProxies_ManyUserAgents(t *testing.T) {
	agents := func(r *rig, header ...string) {
		for i := range 2 * maxProxyAgents {
			r.do("GET", "/v1/blog/likes/x", "", append(header, "User-Agent", fmt.Sprintf("browser/%d", i))...).hasStatus(200)
		}
	}
	for name, c := range map[string]struct {
		header   []string
		change   func(*Options)
		warnings int
	}{
		"no header":               {nil, func(o *Options) { o.TrustedProxies = private }, 1},
		"an inner proxy":          {[]string{"X-Real-IP", "10.0.0.9"}, func(o *Options) { o.TrustedProxies = private }, 1},
		"a client":                {[]string{"X-Real-IP", "198.51.100.7"}, func(o *Options) { o.TrustedProxies = private }, 0},
		"no trusted proxy":        {nil, nil, 0},
		"one's own servers":       {[]string{"Authorization", "Bearer 0123456789abcdef"}, func(o *Options) { o.TrustedProxies, o.ServerToken = private, "0123456789abcdef" }, 0},
		"clients by another list": {[]string{"Forwarded", "for=198.51.100.7"}, func(o *Options) { o.TrustedProxies = private }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.change)
			agents(r, c.header...)
			if text := r.log.String(); strings.Count(text, "level=WARN") != c.warnings || c.warnings > 0 && !strings.Contains(text, "--trusted-proxy") {
				t.Errorf("%d warnings, want %d: %s", strings.Count(text, "level=WARN"), c.warnings, text)
			}
			ready := r.do("GET", "/readyz", "").hasStatus(200)
			if got := strings.Count(string(ready.body), "--trusted-proxy"); got != c.warnings || strings.Contains(string(ready.body), "127.0.0.1") {
				t.Errorf("/readyz: %s", ready.body)
			}
		})
	}
}

func TestSilentProxies_FewUserAgents(t *testing.T) {
	var c silentProxies
	proxy := netip.MustParseAddr("10.0.0.1")
	for day := range 20 { // a browser that is updated every day
		now := time.Duration(day) * (proxyWindow + time.Second)
		for i := range 100 {
			if c.observe(proxy, fmt.Sprintf("browser/%d", day), now) || c.observe(proxy, "curl/8", now) || c.observe(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), "", now) {
				t.Fatal("a crowd of two user agents a day")
			}
		}
	}
	for i := range 10_000 {
		if c.observe(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), "curl/8", 0) {
			t.Fatal("a crowd of one user agent an address")
		}
	}
	if len(c.byAddress) > maxObservedProxies {
		t.Errorf("%d addresses are remembered", len(c.byAddress))
	}
}

func TestUntrustedProxy_WarnedOnce(t *testing.T) {
	r := newRig(t, nil)
	for range 3 {
		r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").hasError(400, "bad_visitor").contains("--trusted-proxy")
	}
	r.do("POST", "/v1/blog/likes/x", "", "Forwarded", "for=198.51.100.7").hasError(400, "bad_visitor")
	r.do("POST", "/v1/blog/likes/x", `{"visitor":"`+ann+`"}`, "X-Forwarded-For", "198.51.100.7").hasStatus(200)
	if text := r.log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "--trusted-proxy 127.0.0.1") {
		t.Errorf("warned: %s", text)
	}
}

func TestTrustedProxy_Clients(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = private })
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").hasStatus(200).contains(`"count":1`)
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.8").hasStatus(200).contains(`"count":2`)
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.8").hasStatus(200).contains(`"count":2`)
}

func FuzzForwardedHeaders(f *testing.F) {
	f.Add("198.51.100.7, 10.0.0.1", "[2001:db8::1]:80", "10.0.0.1:80")
	f.Add("unknown", "", "[::1]:80")
	f.Add("::ffff:1.2.3.4%eth0, [", ",,,", "@")
	f.Add("fe80::1%25en0", "]", "10.0.0.1:80")
	a := &API{options: Options{TrustedProxies: private, Logger: slog.New(slog.DiscardHandler)}}
	f.Add(`for="[2001:db8::1]:80";proto=https`, `for=1.1.1.1;x="\"`, "10.0.0.1:80")
	f.Fuzz(func(t *testing.T, one, two, peer string) {
		for _, name := range forwardingHeaders {
			from := a.clientOf(&http.Request{RemoteAddr: peer, Header: http.Header{name: {one, two}}})
			if !from.limitAddress().IsValid() || from.limitAddress().Is4In6() || from.limitAddress().Zone() != "" {
				t.Fatalf("%s: client %v", name, from.limitAddress())
			}
			if from.limitAddress().Is6() && from.limitAddress() != netip.PrefixFrom(from.limitAddress(), 64).Masked().Addr() {
				t.Fatalf("%s: client %v is not the first of its /64", name, from.limitAddress())
			}
		}
		// The element that the proxy appends counts, not those of the client.
		const appended = ", for=198.51.100.7"
		from := a.clientOf(&http.Request{RemoteAddr: "10.0.0.1:80", Header: http.Header{"Forwarded": {one + appended}}})
		if from.hidingHeader == "" && from.address.String() != "198.51.100.7" {
			t.Fatalf("%q: client %v", one+appended, from.address)
		}
	})
}
