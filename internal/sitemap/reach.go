package sitemap

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// reach decides which hosts a fetcher may ask. A site map is written by whoever runs
// the site, so neither a redirect nor an index may choose an address in the operator's
// network.
type reach struct {
	// named holds host:port of the site maps and of the exact origins that the operator
	// configured. They may have private addresses.
	named map[string]bool
	// below holds ".example.com:443" for origins such as https://*.example.com. What is
	// there must have public addresses.
	below []string
	// everywhere is set for a site that is read from a folder, of any host.
	everywhere bool
	// open connects to every address, guarded to public ones alone.
	open, guarded *http.Client
}

// newReach returns the reach of a site with these site maps and origins.
func newReach(urls, origins []string) *reach {
	r := &reach{named: map[string]bool{}}
	for _, text := range append(append([]string(nil), urls...), origins...) {
		scheme, host, wildcard := strings.Cut(text, "://*.")
		if !wildcard {
			if u, err := url.Parse(text); err == nil && u.Host != "" {
				for _, place := range places(u) {
					r.named[place] = true
				}
			}
			continue
		}
		if u, err := url.Parse(scheme + "://" + host); err == nil {
			for _, place := range places(u) {
				r.below = append(r.below, "."+place)
			}
		}
	}
	r.open = newClient(nil)
	r.guarded = newClient(refusePrivate)
	return r
}

// newClient returns a client that leaves redirects to its caller.
func newClient(control func(network, address string, c syscall.RawConn) error) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dialer := &net.Dialer{Timeout: fetchWithin, KeepAlive: 30 * time.Second, Control: control}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (r *reach) close() {
	r.open.CloseIdleConnections()
	r.guarded.CloseIdleConnections()
}

// places returns host:port of an address. The ports of http and https are both the
// host's own: sites change between them.
func places(u *url.URL) []string {
	host := strings.ToLower(u.Hostname())
	switch port := u.Port(); {
	case port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443"):
		return []string{net.JoinHostPort(host, port)}
	}
	return []string{net.JoinHostPort(host, "443"), net.JoinHostPort(host, "80")}
}

// allows reports whether u may be fetched.
func (r *reach) allows(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return false
	}
	place := places(u)[0]
	if r.everywhere || r.named[place] {
		return true
	}
	for _, suffix := range r.below {
		if name, ok := strings.CutSuffix(place, suffix); ok && name != "" {
			return true
		}
	}
	return false
}

// client returns the client that may ask for request. A proxy connects on its own: its
// address is the operator's choice and often a private one.
func (r *reach) client(request *http.Request) *http.Client {
	if r.named[places(request.URL)[0]] {
		return r.open
	}
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		return r.open
	}
	return r.guarded
}

// reserved are the ranges beside those that netip knows which are not on the public
// internet (the IANA registries of special-purpose addresses), or that lead to an IPv4
// address (NAT64, 6to4, Teredo).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// isPublic reports whether address is one of the public internet.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return false
	}
	for _, each := range reserved {
		if each.Contains(address) {
			return false
		}
	}
	return true
}

// refusePrivate is a [net.Dialer]'s Control. It sees the address that is connected to,
// after the name was resolved: no later answer of DNS can change it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("%s is not a public address; name the host as a site map or as an exact origin of the site if it should be asked", at.Addr())
	}
	return nil
}
