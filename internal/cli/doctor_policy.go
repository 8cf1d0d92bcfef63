package cli

import (
	"net/url"
	"slices"
	"strings"
)

// policy is the part of a Content-Security-Policy that concerns the widgets: directives
// with their sources (W3C CSP3).
type policy map[string][]string

func parsePolicy(text string) policy {
	p := policy{}
	for directive := range strings.SplitSeq(text, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		// The first of two equal directives applies.
		if name := strings.ToLower(words[0]); p[name] == nil {
			p[name] = append([]string{}, words[1:]...)
		}
	}
	return p
}

// sources returns the sources of the first directive that the policy has. isLimited is false if
// it has none of them, so that everything is allowed.
func (p policy) sources(names ...string) (sources []string, isLimited bool) {
	for _, name := range append(names, "default-src") {
		if sources, ok := p[name]; ok {
			return sources, true
		}
	}
	return nil, false
}

// allows reports whether a directive lets page reach target.
func (p policy) allows(directive string, page, target *url.URL) bool {
	sources, isLimited := p.sources(directive)
	return !isLimited || anyMatches(sources, page, target)
}

// allowsScript is allows for a script element, which a nonce may allow, too.
func (p policy) allowsScript(page, script *url.URL, nonce string) bool {
	sources, isLimited := p.sources("script-src-elem", "script-src")
	if !isLimited || nonce != "" && slices.Contains(sources, "'nonce-"+nonce+"'") {
		return true
	}
	isStrict := slices.ContainsFunc(sources, func(source string) bool { return strings.EqualFold(source, "'strict-dynamic'") })
	return !isStrict && anyMatches(sources, page, script) // hosts are ignored if it is strict
}

func anyMatches(sources []string, page, target *url.URL) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return sourceMatches(source, page, target) })
}

// sourceMatches reports whether a source expression allows target.
func sourceMatches(source string, page, target *url.URL) bool {
	source = strings.ToLower(source)
	switch {
	case source == "*":
		return true
	case source == "'self'":
		// The same host and port, with the page's scheme or a secure one.
		return target.Hostname() == page.Hostname() && portOf(target) == portOf(page) &&
			(schemeMatches(page.Scheme, target.Scheme) || target.Scheme == "wss" || page.Scheme == "http" && target.Scheme == "ws")
	case strings.HasPrefix(source, "'"):
		return false
	case strings.HasSuffix(source, ":"):
		return schemeMatches(strings.TrimSuffix(source, ":"), target.Scheme)
	}
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		scheme, rest = page.Scheme, source
	}
	host, path, _ := strings.Cut(rest, "/")
	host, port, hasPort := strings.Cut(host, ":")
	if !schemeMatches(scheme, target.Scheme) || !hostMatches(host, strings.ToLower(target.Hostname())) {
		return false
	}
	if hasPort && port != "*" && port != portOf(target) {
		return false
	}
	if !hasPort && target.Port() != "" && target.Port() != usualPort(target.Scheme) {
		return false
	}
	path = "/" + path
	return path == "/" || path == target.Path || strings.HasSuffix(path, "/") && strings.HasPrefix(target.Path, path)
}

// schemeMatches reports whether the scheme of a source allows that of a target: the same,
// the secure variant, and for ws also http, but not the reverse.
func schemeMatches(source, target string) bool {
	return source == target || slices.Contains(upgradedSchemes[source], target)
}

// upgradedSchemes are the schemes that a source allows besides its own.
var upgradedSchemes = map[string][]string{"http": {"https"}, "ws": {"wss", "http", "https"}, "wss": {"https"}}

func hostMatches(pattern, host string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, suffix)
	}
	return pattern == host
}

func portOf(at *url.URL) string {
	if port := at.Port(); port != "" {
		return port
	}
	return usualPort(at.Scheme)
}

func usualPort(scheme string) string {
	if scheme == "https" || scheme == "wss" {
		return "443"
	}
	return "80"
}
