package api

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/tallycast/tallycast/internal/ratelimit"
)

// The headers that name the client of a proxy, in the order in which they are read:
// the first one that a request has decides, whatever the others say.
const (
	headerForwardedFor = "X-Forwarded-For"
	headerForwarded    = "Forwarded" // RFC 7239
	headerRealIP       = "X-Real-Ip"
)

var forwardingHeaders = [...]string{headerForwardedFor, headerForwarded, headerRealIP}

// clientInfo is where a request comes from.
type clientInfo struct {
	// limitAddress is the address that limits count by and visitors are derived from:
	// an IPv4 address or the first address of an IPv6 /64. Never the zero Addr.
	limitAddress netip.Addr
	// address is the client's own.
	address netip.Addr
	// viaProxy says that the peer is a trusted proxy, whose headers count.
	viaProxy bool
	// isProxy says that address is a trusted proxy's own: nothing names a client
	// behind it.
	isProxy bool
	// hidingHeader is the forwarding header that hides who the client is: the peer is not
	// trusted, or the header of a trusted one names no address. The peer's address is
	// then all that is known, and everybody behind it looks the same. Empty otherwise.
	hidingHeader string
}

// clientOf finds out who sent r. Only a trusted peer is asked: the first of the
// forwarding headers that it sends names the client. Of a list the right-most address
// that no trusted proxy has is the client: the client may have written what is left
// of it. Without any of the headers the peer is the client.
func (a *API) clientOf(r *http.Request) clientInfo {
	peer := netip.IPv6Unspecified()
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = p.Addr().Unmap().WithZone("")
	}
	from := clientInfo{limitAddress: ratelimit.ClientAddress(peer), address: peer, viaProxy: a.trusts(peer)}
	header, values := forwardingHeader(r.Header)
	switch {
	case header == "":
		from.isProxy = from.viaProxy
		return from
	case !from.viaProxy:
		a.warnUntrusted(header, peer)
		from.hidingHeader = header
		return from
	}
	address, ok := a.forwardedAddress(header, values)
	if !ok {
		a.warnUnusable(header, values, peer)
		from.hidingHeader = header
		return from
	}
	from.limitAddress, from.address, from.isProxy = ratelimit.ClientAddress(address), address, a.trusts(address)
	return from
}

// forwardingHeader returns the first of the forwarding headers that is there, or "".
func forwardingHeader(h http.Header) (name string, values []string) {
	for _, name := range forwardingHeaders {
		if values := h[name]; len(values) > 0 {
			return name, values
		}
	}
	return "", nil
}

// forwardedAddress returns the client that a trusted peer's header names; false if
// the header cannot be read, or names something else than an address in its place.
func (a *API) forwardedAddress(header string, values []string) (netip.Addr, bool) {
	switch header {
	case headerForwardedFor:
		return a.forwardedFor(values)
	case headerForwarded:
		return a.forwarded(values)
	}
	if len(values) != 1 { // one proxy sets it, and replaces what the client sent
		return netip.Addr{}, false
	}
	return parseHop(strings.TrimSpace(values[0]))
}

// forwardedFor reads X-Forwarded-For from its end as long as the addresses are those
// of trusted proxies.
func (a *API) forwardedFor(values []string) (client netip.Addr, ok bool) {
	for i := len(values) - 1; i >= 0; i-- {
		list := values[i]
		for more := true; more; {
			hop := list
			at := strings.LastIndexByte(list, ',')
			if more = at >= 0; more {
				hop, list = list[at+1:], list[:at]
			}
			if hop = strings.TrimSpace(hop); hop == "" {
				continue // RFC 9110, section 5.6.1: an empty element is none
			}
			if client, ok = parseHop(hop); !ok || !a.trusts(client) {
				return client, ok
			}
		}
	}
	return client, ok
}

// forwarded reads Forwarded. It reads from the beginning, since a quoted text may hold
// commas, and the whole: a client that leaves a quote open before the proxy's own
// element gets nothing but an unusable header.
func (a *API) forwarded(values []string) (client netip.Addr, ok bool) {
	isProxy := true // all hops so far are trusted proxies
	for _, rest := range values {
		for more := true; more; {
			var element forwardedElement
			var valid bool
			if element, rest, more, valid = parseForwardedElement(rest); !valid {
				return netip.Addr{}, false
			}
			if element.isEmpty {
				continue
			}
			hop, known := netip.Addr{}, false
			if element.hasFor {
				hop, known = parseHop(element.node)
			}
			if trusted := known && a.trusts(hop); !trusted || isProxy && !client.IsValid() {
				client, ok, isProxy = hop, known, trusted
			}
		}
	}
	return client, ok
}

// forwardedElement is one hop of Forwarded.
type forwardedElement struct {
	isEmpty bool
	hasFor  bool
	node    string // the value of for=
}

// parseForwardedElement reads pairs such as for="[2001:db8::1]:80";proto=https up to
// the comma, if more elements follow, and returns what is behind it.
func parseForwardedElement(text string) (e forwardedElement, rest string, more, ok bool) {
	e.isEmpty = true
	for {
		text = strings.TrimLeft(text, " \t")
		end := strings.IndexAny(text, "=,;")
		if end < 0 {
			return e, "", false, text == ""
		}
		if text[end] != '=' {
			if end > 0 {
				return e, "", false, false // a name without a value
			}
		} else {
			name := text[:end]
			value, behind, ok := parseForwardedValue(text[end+1:])
			if name == "" || strings.ContainsAny(name, " \t\"") || !ok {
				return e, "", false, false
			}
			e.isEmpty = false
			if strings.EqualFold(name, "for") {
				if e.hasFor {
					return e, "", false, false
				}
				e.hasFor, e.node = true, value
			}
			if text = strings.TrimLeft(behind, " \t"); text == "" {
				return e, "", false, true
			}
		}
		separator := text[0]
		text = text[1:]
		if separator == ',' {
			return e, text, true, true
		}
	}
}

// parseForwardedValue reads a token or a quoted text at the beginning of text. A token
// is taken up to the next separator: proxies write IPv6 addresses without quotes, too.
func parseForwardedValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ",; \t\"")
		if end < 0 {
			return text, "", true
		}
		rest = strings.TrimLeft(text[end:], " \t")
		return text[:end], rest, rest == "" || rest[0] == ',' || rest[0] == ';'
	}
	for at := 1; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++ // no address holds a backslash: the value stays as it is, and is none
		case '"':
			rest = strings.TrimLeft(text[at+1:], " \t")
			return text[1:at], rest, rest == "" || rest[0] == ',' || rest[0] == ';'
		}
	}
	return "", "", false
}

// parseHop reads an address as proxies write it, with or without a port. The
// unspecified address is nobody's.
func parseHop(text string) (netip.Addr, bool) {
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	address, err := netip.ParseAddr(bare)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	address = address.Unmap().WithZone("")
	return address, !address.IsUnspecified()
}

func (a *API) trusts(address netip.Addr) bool {
	for _, prefix := range a.proxies {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// warnUntrusted says once in the life of the process that a proxy is not trusted.
func (a *API) warnUntrusted(header string, peer netip.Addr) {
	if a.warnedUntrusted.CompareAndSwap(false, true) {
		a.logger.Warn("a proxy that is not trusted forwards requests: all its clients share one address for limits, and none is known well enough to like without an id; if it is yours, name it with --trusted-proxy",
			"header", header, "address", peer.String(), "flag", "--trusted-proxy "+peer.String())
	}
}

// maxShownHeader bounds, in bytes, a header's value in a warning.
const maxShownHeader = 80

// warnUnusable says once in the life of the process that a trusted proxy does not say
// who its clients are.
func (a *API) warnUnusable(header string, values []string, peer netip.Addr) {
	if a.warnedUnusable.CompareAndSwap(false, true) {
		value := strings.Join(values, ", ")
		if len(value) > maxShownHeader {
			value = value[:maxShownHeader] + "…"
		}
		a.logger.Warn("a proxy named in --trusted-proxy sends a header that names no client address: clients without an id cannot like, and they share the proxy's address for limits; have the proxy set the client's address, or remove the header",
			"header", header, "value", value, "address", peer.String(), "flag", "--trusted-proxy")
	}
}
