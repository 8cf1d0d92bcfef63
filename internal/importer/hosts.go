package importer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Errors of entries that are left out on purpose.
var (
	errOtherHost = errors.New("it is of another host")
	errNoHost    = errors.New("it names no host, and the file has hosts that are not taken")
)

// maxHosts bounds how many hosts of a file are kept. No site has as many.
const maxHosts = 1_000_000

// maxHostsNamed is how many hosts a message names.
const maxHostsNamed = 20

// ParseHost returns the host of text, which is a host name or the URL of a site, in the
// form in which hosts are compared.
func ParseHost(text string) (string, error) {
	if _, after, ok := strings.Cut(text, "://"); ok {
		text, _, _ = strings.Cut(after, "/")
	}
	host := hostOf(text)
	if host == "" || strings.ContainsAny(host, "/?#@ \t\\*") {
		return "", fmt.Errorf("%q should be the name of a host, such as blog.example.com", text)
	}
	return host, nil
}

// hostOf returns a host in lower case without port and final point.
func hostOf(text string) string {
	host := strings.ToLower(strings.TrimSpace(text))
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") && strings.Trim(host[at+1:], "0123456789") == "" {
		host = host[:at]
	}
	return strings.TrimSuffix(host, ".")
}

// hosts counts the entries of each host that a file names.
type hosts map[string]int64

// add counts an entry of a host.
func (h hosts) add(host string) {
	if _, known := h[host]; host != "" && (known || len(h) < maxHosts) {
		h[host]++
	}
}

// format names hosts with their entries, those with most first.
func (h hosts) format(leftOut func(host string) bool) string {
	names := slices.SortedFunc(maps.Keys(h), func(a, b string) int {
		if h[a] != h[b] {
			return int(h[b] - h[a])
		}
		return strings.Compare(a, b)
	})
	names = slices.DeleteFunc(names, leftOut)
	var shown []string
	for i, host := range names {
		if i == maxHostsNamed {
			shown = append(shown, "…")
			break
		}
		shown = append(shown, fmt.Sprintf("%s (%d)", host, h[host]))
	}
	return strings.Join(shown, ", ")
}

func none(string) bool { return false }

// hostFilter says which entries of a file are taken.
type hostFilter struct {
	named  hosts
	taken  map[string]bool
	noHost bool // entries without a host are taken
}

// filter returns which hosts are taken: those that are wanted, else the only one.
// Entries without a host are taken if all hosts of the file are.
func (h hosts) filter(wanted []string) (hostFilter, error) {
	c := hostFilter{named: h, taken: map[string]bool{}, noHost: true}
	if len(wanted) == 0 {
		if len(h) > 1 {
			return c, fmt.Errorf("the file has pages of several hosts: %s; say with --host whose pages to take, and repeat it to add hosts up", h.format(none))
		}
		wanted = slices.Collect(maps.Keys(h))
	}
	found := false
	for _, host := range wanted {
		c.taken[host] = true
		found = found || h[host] > 0
	}
	if len(h) > 0 && !found {
		return c, fmt.Errorf("the file has no page of %s; it has pages of %s", strings.Join(wanted, " or "), h.format(none))
	}
	for host := range h {
		c.noHost = c.noHost && c.taken[host]
	}
	return c, nil
}

// check returns [errOtherHost] or [errNoHost] if an entry of that host is left out.
func (c hostFilter) check(host string) error {
	switch {
	case host == "" && !c.noHost:
		return errNoHost
	case host != "" && !c.taken[host]:
		return errOtherHost
	}
	return nil
}

// others names the hosts that are left out.
func (c hostFilter) others() string {
	return c.named.format(func(host string) bool { return c.taken[host] })
}

// absent returns the hosts that are wanted and not in a file that names hosts.
func (c hostFilter) absent() (names []string) {
	for _, host := range slices.Sorted(maps.Keys(c.taken)) {
		if len(c.named) > 0 && c.named[host] == 0 {
			names = append(names, host)
		}
	}
	return names
}
