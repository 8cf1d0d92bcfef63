package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestWhoTheClientIs(t *testing.T) {
	trusting := &API{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, logger: slog.New(slog.DiscardHandler)}
	for _, row := range []struct {
		peer      string
		forwarded []string
		client    string
		unknown   bool
	}{
		{"192.0.2.1:99", nil, "192.0.2.1", false},
		{"[::ffff:192.0.2.1]:99", nil, "192.0.2.1", false},
		{"[2001:db8:1:2:3:4:5:6]:99", nil, "2001:db8:1:2::", false},
		{"[fe80::1%eth0]:99", nil, "fe80::", false},
		{"@", nil, "::", false},
		{"192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1", true},

		{"10.0.0.1:99", nil, "10.0.0.1", false},
		{"10.0.0.1:99", []string{"198.51.100.7"}, "198.51.100.7", false},
		{"10.0.0.1:99", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7", false},
		{"10.0.0.1:99", []string{"1.1.1.1", "198.51.100.7, 10.2.3.4"}, "198.51.100.7", false},
		{"10.0.0.1:99", []string{"198.51.100.7:1234"}, "198.51.100.7", false},
		{"10.0.0.1:99", []string{"[2001:db8:1:2::9]:1234"}, "2001:db8:1:2::", false},
		{"10.0.0.1:99", []string{"2001:db8:1:2::9"}, "2001:db8:1:2::", false},
		{"10.0.0.1:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7", false},
		{"[fd00::1]:99", []string{"198.51.100.7"}, "198.51.100.7", false},
		{"10.0.0.1:99", []string{"10.0.0.7, 10.0.0.6"}, "10.0.0.7", false},
		{"10.0.0.1:99", []string{"198.51.100.7, unknown"}, "10.0.0.1", false},
		{"10.0.0.1:99", []string{""}, "10.0.0.1", false},
		{"10.0.0.1:99", []string{",,"}, "10.0.0.1", false},
	} {
		r := &http.Request{RemoteAddr: row.peer, Header: http.Header{}}
		if row.forwarded != nil {
			r.Header["X-Forwarded-For"] = row.forwarded
		}
		if got := trusting.origination(r); got.client.String() != row.client || got.unknown != row.unknown {
			t.Errorf("%s for %q: %+v", row.peer, row.forwarded, got)
		}
	}
}

func TestAProxyThatIsNotTrustedIsNamedOnce(t *testing.T) {
	r := newRig(t, nil)
	for range 3 {
		r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").refuses(400, "bad_visitor").says("--trusted-proxy")
	}
	r.do("POST", "/v1/blog/likes/x", "", "Forwarded", "for=198.51.100.7").refuses(400, "bad_visitor")
	r.do("POST", "/v1/blog/likes/x", `{"visitor":"`+ann+`"}`, "X-Forwarded-For", "198.51.100.7").wants(200)
	if text := r.log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "--trusted-proxy 127.0.0.1") {
		t.Errorf("warned: %s", text)
	}
}

func TestBehindATrustedProxyEachClientIsItsOwn(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = private })
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7").wants(200).says(`"count":1`)
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.8").wants(200).says(`"count":2`)
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.8").wants(200).says(`"count":2`)
}

func FuzzForwardedHeaders(f *testing.F) {
	f.Add("198.51.100.7, 10.0.0.1", "[2001:db8::1]:80", "10.0.0.1:80")
	f.Add("unknown", "", "[::1]:80")
	f.Add("::ffff:1.2.3.4%eth0, [", ",,,", "@")
	f.Add("fe80::1%25en0", "]", "10.0.0.1:80")
	a := &API{proxies: private, logger: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, one, two, peer string) {
		from := a.origination(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {one, two}}})
		if !from.client.IsValid() || from.client.Is4In6() || from.client.Zone() != "" {
			t.Fatalf("client %v", from.client)
		}
		if from.client.Is6() && from.client != netip.PrefixFrom(from.client, 64).Masked().Addr() {
			t.Fatalf("client %v is not the first of its /64", from.client)
		}
	})
}
