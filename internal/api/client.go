package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// forwardingHeaders tell that a proxy stands between the client and us.
var forwardingHeaders = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"}

// origination is where a request comes from.
type origination struct {
	// client is the address that limits count by and visitors are derived from:
	// an IPv4 address or the first address of an IPv6 /64. Never the zero Addr.
	client netip.Addr
	// address is the client's own, of which client stands for all that its holder has.
	address netip.Addr
	// viaProxy says that the peer is a trusted proxy, whose headers count.
	viaProxy bool
	// unknown says that a proxy that is not trusted stands before the client: its
	// address is all we know, and everybody behind it looks the same.
	unknown bool
}

// origination finds out who sent r. Of X-Forwarded-For the right-most address
// that no trusted proxy has is the client: what stands left of it, the client
// may have written itself.
func (a *API) origination(r *http.Request) (from origination) {
	peer := netip.IPv6Unspecified()
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = p.Addr().Unmap().WithZone("")
	}
	if !a.trusts(peer) {
		for _, name := range forwardingHeaders {
			if len(r.Header[name]) > 0 {
				a.warnForwarded(name, peer)
				return origination{client: limitedBy(peer), address: peer, unknown: true}
			}
		}
		return origination{client: limitedBy(peer), address: peer}
	}
	address := a.forwardedFor(r.Header["X-Forwarded-For"], peer)
	return origination{client: limitedBy(address), address: address, viaProxy: true}
}

// forwardedFor follows the list from its end as long as proxies are trusted. It
// stops at what is no address: then the last proxy known is the client.
func (a *API) forwardedFor(headers []string, peer netip.Addr) netip.Addr {
	for i := len(headers) - 1; i >= 0; i-- {
		list := headers[i]
		for more := true; more; {
			hop := list
			at := strings.LastIndexByte(list, ',')
			if more = at >= 0; more {
				hop, list = list[at+1:], list[:at]
			}
			address, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return peer
			}
			if peer = address; !a.trusts(peer) {
				return peer
			}
		}
	}
	return peer
}

// parseHop reads an address as proxies write it, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func (a *API) trusts(address netip.Addr) bool {
	for _, prefix := range a.proxies {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// warnForwarded says once in the life of the process that a proxy is not trusted.
func (a *API) warnForwarded(header string, peer netip.Addr) {
	if a.forwarded.CompareAndSwap(false, true) {
		a.logger.Warn("a proxy that is not trusted forwards requests: all its clients share one address for limits, and none is known well enough to like without an id; if it is yours, name it with --trusted-proxy",
			"header", header, "address", peer.String(), "flag", "--trusted-proxy "+peer.String())
	}
}

// limitedBy returns the address that stands for everything its holder can send
// from: an IPv6 customer has a /64.
func limitedBy(address netip.Addr) netip.Addr {
	if address.Is4() {
		return address
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return netip.IPv6Unspecified() // the zero Addr; none of ours is
	}
	return prefix.Addr()
}
