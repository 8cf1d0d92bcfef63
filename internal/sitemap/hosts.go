package sitemap

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hostPolicy determines which hosts a fetcher may contact, so that the author of a sitemap cannot direct
// it to an address in the operator's network by a redirect or an index.
type hostPolicy struct {
	// exact holds host:port of the configured sitemaps and origins. They may have private
	// addresses.
	exact map[string]bool
	// suffixes holds ".example.com:443" for origins such as https://*.example.com. Their
	// hosts must have public addresses.
	suffixes []string
	anyHost  bool // for a site that is read from a folder
	// direct connects to all addresses, publicOnly to public ones.
	direct, publicOnly *http.Client
}

// newHostPolicy returns the policy for a site with these sitemaps and origins.
func newHostPolicy(urls, origins []string) *hostPolicy {
	r := &hostPolicy{exact: map[string]bool{}}
	for _, text := range slices.Concat(urls, origins) {
		scheme, host, isWildcard := strings.Cut(text, "://*.")
		if isWildcard {
			text = scheme + "://" + host
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			continue
		}
		for _, each := range hostPorts(u) {
			if isWildcard {
				r.suffixes = append(r.suffixes, "."+each)
			} else {
				r.exact[each] = true
			}
		}
	}
	r.direct = newClient(nil)
	r.publicOnly = newClient(refusePrivate)
	return r
}

// newClient returns a client that does not follow redirects.
func newClient(control func(network, address string, c syscall.RawConn) error) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: fetchTimeout, KeepAlive: 30 * time.Second, Control: control}).DialContext
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (r *hostPolicy) close() {
	r.direct.CloseIdleConnections()
	r.publicOnly.CloseIdleConnections()
}

// hostPorts returns host:port of a URL. For a default port it returns those of http and https, since
// sites change between them.
func hostPorts(u *url.URL) []string {
	host := strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		return []string{net.JoinHostPort(host, port)}
	}
	return []string{net.JoinHostPort(host, "443"), net.JoinHostPort(host, "80")}
}

// allows reports whether u may be fetched.
func (r *hostPolicy) allows(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return false
	}
	address := hostPorts(u)[0]
	if r.anyHost || r.exact[address] {
		return true
	}
	return slices.ContainsFunc(r.suffixes, func(suffix string) bool {
		return strings.HasSuffix(address, suffix) && len(address) > len(suffix)
	})
}

// client returns the client for a request. If the operator configured a proxy, the client may connect
// to private addresses, since that of the proxy often is one.
func (r *hostPolicy) client(request *http.Request) *http.Client {
	if r.exact[hostPorts(request.URL)[0]] {
		return r.direct
	}
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		return r.direct
	}
	return r.publicOnly
}

// reserved are ranges, unknown to netip, that are not on the public internet (the IANA registries of
// special-purpose addresses) or that contain IPv4 addresses (NAT64, 6to4, Teredo).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// isPublic reports whether an address is on the public internet.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(reserved, func(each netip.Prefix) bool { return each.Contains(address) })
}

// refusePrivate is the Control of a [net.Dialer]. It receives the address after resolution by DNS, to
// which the dialer then connects.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("%s is not a public address; configure the host as a sitemap or as an exact origin of the site to allow it", at.Addr())
	}
	return nil
}
