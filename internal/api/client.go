package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/ratelimit"
)

// Headers that name the client of a proxy. The first one in forwardingHeaders that a
// request has is used.
const (
	headerForwardedFor = "X-Forwarded-For"
	headerForwarded    = "Forwarded" // RFC 7239
	headerRealIP       = "X-Real-Ip"
)

var forwardingHeaders = [...]string{headerForwardedFor, headerForwarded, headerRealIP}

// clientInfo describes the client of a request.
type clientInfo struct {
	address netip.Addr // never the zero Addr
	// viaProxy means that the peer is a trusted proxy.
	viaProxy bool
	// isProxy means that address is that of a trusted proxy that names no client.
	isProxy bool
	// hidingHeader is the name of a forwarding header that cannot be used: the peer is not trusted,
	// or the header of a trusted peer names no address. Then only the peer's address is known, so
	// all clients of the peer look the same. Empty otherwise.
	hidingHeader string
}

// limitAddress returns the address by which limits count and from which visitors are
// derived.
func (c clientInfo) limitAddress() netip.Addr { return ratelimit.ClientAddress(c.address) }

// clientOf returns the client of r. Without a forwarding header that is the peer. If the peer is a
// trusted proxy, the client is the right-most address in the header that is not a trusted proxy. A
// client may have written the addresses to the left of it.
func (a *API) clientOf(r *http.Request) clientInfo {
	peer := netip.IPv6Unspecified()
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = p.Addr().Unmap().WithZone("")
	}
	from := clientInfo{address: peer, viaProxy: a.trusts(peer)}
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
	from.address, from.isProxy = address, a.trusts(address)
	return from
}

// forwardingHeader returns the first forwarding header of h, or "".
func forwardingHeader(h http.Header) (name string, values []string) {
	for _, name := range forwardingHeaders {
		if values := h[name]; len(values) > 0 {
			return name, values
		}
	}
	return "", nil
}

// forwardedAddress returns the client that the header of a trusted peer names. It returns
// false if the header is invalid or does not name an address.
func (a *API) forwardedAddress(header string, values []string) (netip.Addr, bool) {
	switch header {
	case headerForwardedFor:
		return a.forwardedFor(values)
	case headerForwarded:
		return a.forwarded(values)
	}
	if len(values) != 1 { // the proxy replaces the client's header
		return netip.Addr{}, false
	}
	return parseHop(strings.TrimSpace(values[0]))
}

// forwardedFor reads X-Forwarded-For from its end until an address that is not a trusted proxy.
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
				continue // RFC 9110, section 5.6.1: ignore empty elements
			}
			if client, ok = parseHop(hop); !ok || !a.trusts(client) {
				return client, ok
			}
		}
	}
	return client, ok
}

// forwarded reads Forwarded from the beginning, since a quoted string may contain commas. A quote that
// is not closed makes the whole header invalid.
func (a *API) forwarded(values []string) (client netip.Addr, ok bool) {
	isProxy := true // all hops so far are trusted proxies
	for _, rest := range values {
		for more := true; more; {
			var element string
			var valid bool
			if element, rest, more, valid = cutUnquoted(rest, ','); !valid {
				return netip.Addr{}, false
			}
			node, isEmpty, valid := parseForwardedElement(element)
			if !valid {
				return netip.Addr{}, false
			}
			if isEmpty {
				continue
			}
			hop, known := parseHop(node)
			if trusted := known && a.trusts(hop); !trusted || isProxy && !client.IsValid() {
				client, ok, isProxy = hop, known, trusted
			}
		}
	}
	return client, ok
}

// parseForwardedElement returns the value of for= in pairs such as
// for="[2001:db8::1]:80";proto=https, or "". ok is false if they are invalid.
func parseForwardedElement(text string) (node string, isEmpty, ok bool) {
	isEmpty = true
	for more := true; more; {
		var pair string
		pair, text, more, _ = cutUnquoted(text, ';') // the quotes are valid, see forwarded
		if pair = strings.Trim(pair, " \t"); pair == "" {
			continue
		}
		isEmpty = false
		name, value, ok := strings.Cut(pair, "=")
		if inner, isQuoted := strings.CutPrefix(value, `"`); isQuoted {
			value, ok = strings.CutSuffix(inner, `"`)
		}
		if !ok || name == "" || strings.ContainsAny(name, " \t\"") {
			return "", false, false
		}
		if strings.EqualFold(name, "for") {
			if node != "" {
				return "", false, false
			}
			node = value
		}
	}
	return node, isEmpty, true
}

// cutUnquoted cuts text at the first separator that is not in a quoted string. ok is false if a quote
// is not closed.
func cutUnquoted(text string, separator byte) (before, after string, found, ok bool) {
	isQuoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			isQuoted = !isQuoted
		case isQuoted && text[i] == '\\':
			i++
		case !isQuoted && text[i] == separator:
			return text[:i], text[i+1:], true, true
		}
	}
	return text, "", false, !isQuoted
}

// parseHop parses an address with or without a port, as proxies write it. It returns
// false for the unspecified address.
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
	return slices.ContainsFunc(a.options.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// maxShownHeader bounds the value of a header in a warning, in bytes.
const maxShownHeader = 80

// warnUntrusted logs once that a proxy is not trusted.
func (a *API) warnUntrusted(header string, peer netip.Addr) {
	if a.warnedUntrusted.CompareAndSwap(false, true) {
		a.options.Logger.Warn("a proxy that is not trusted forwards requests: its clients share one address for limits, and cannot like without a visitor id; if it is your proxy, name it with --trusted-proxy",
			"header", header, "address", peer.String(), "flag", "--trusted-proxy "+peer.String())
	}
}

// warnUnusable logs once that a trusted proxy does not name its clients.
func (a *API) warnUnusable(header string, values []string, peer netip.Addr) {
	if a.warnedUnusable.CompareAndSwap(false, true) {
		a.options.Logger.Warn("a proxy named in --trusted-proxy sends a header that names no client address: its clients share one address for limits, and cannot like without a visitor id; configure the proxy to set the client's address, or to remove the header",
			"header", header, "value", fmt.Sprintf("%.*s", maxShownHeader, strings.Join(values, ", ")), "address", peer.String(), "flag", "--trusted-proxy")
	}
}
