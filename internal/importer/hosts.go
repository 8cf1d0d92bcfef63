package importer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Errors of entries that are skipped.
var (
	errOtherHost = errors.New("it is of another host")
	errNoHost    = errors.New("it names no host, and not all hosts of the file are imported")
)

const (
	// maxHosts bounds the hosts of a file that are counted. No site has as many.
	maxHosts = 1_000_000
	// maxShownHosts bounds the hosts in a message.
	maxShownHosts = 20
)

// ParseHost returns the host in text, which is a host name or the URL of a site, in its normal form.
func ParseHost(text string) (string, error) {
	if _, after, ok := strings.Cut(text, "://"); ok {
		text, _, _ = strings.Cut(after, "/")
	}
	host := normalHost(text)
	if host == "" || strings.ContainsAny(host, "/?#@ \t\\*") {
		return "", fmt.Errorf("%q should be the name of a host, such as blog.example.com", text)
	}
	return host, nil
}

// normalHost returns a host in its normal form: in lower case, without a port and a final dot.
func normalHost(text string) string {
	host := strings.ToLower(strings.TrimSpace(text))
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") && strings.Trim(host[at+1:], "0123456789") == "" {
		host = host[:at]
	}
	return strings.TrimSuffix(host, ".")
}

// hosts counts the entries of each host of a file.
type hosts map[string]int64

func (h hosts) add(host string) {
	if _, known := h[host]; host != "" && (known || len(h) < maxHosts) {
		h[host]++
	}
}

// format lists the hosts that are not in omit, the most frequent first.
func (h hosts) format(omit map[string]bool) string {
	names := slices.SortedFunc(maps.Keys(h), func(a, b string) int { return cmp.Or(cmp.Compare(h[b], h[a]), strings.Compare(a, b)) })
	names = slices.DeleteFunc(names, func(host string) bool { return omit[host] })
	var shown []string
	for _, host := range names[:min(len(names), maxShownHosts)] {
		shown = append(shown, fmt.Sprintf("%s (%d)", host, h[host]))
	}
	if len(names) > maxShownHosts {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// hostFilter selects the entries of some hosts of a file.
type hostFilter struct {
	inFile   hosts
	selected map[string]bool
	noHost   bool // entries without a host are selected
}

// only returns a function that returns the filter for the wanted hosts of a file.
func only(wanted []string) func(inFile hosts) (hostFilter, error) {
	return func(inFile hosts) (hostFilter, error) { return inFile.filter(wanted) }
}

// filter returns a filter for the wanted hosts, or, if none is wanted, for the only host of the file. The
// filter selects entries without a host if all hosts of the file are selected.
func (h hosts) filter(wanted []string) (hostFilter, error) {
	f := hostFilter{inFile: h, selected: map[string]bool{}, noHost: true}
	if len(wanted) == 0 {
		if len(h) > 1 {
			return f, fmt.Errorf("the file has pages of several hosts: %s; name with --host the host to import, and repeat --host to add up several", h.format(nil))
		}
		wanted = slices.Collect(maps.Keys(h))
	}
	found := false
	for _, host := range wanted {
		f.selected[host] = true
		found = found || h[host] > 0
	}
	if len(h) > 0 && !found {
		return f, fmt.Errorf("the file has no page of %s; it has pages of %s", strings.Join(wanted, " or "), h.format(nil))
	}
	for host := range h {
		f.noHost = f.noHost && f.selected[host]
	}
	return f, nil
}

// check returns [errOtherHost] or [errNoHost] for an entry that is not selected.
func (f hostFilter) check(host string) error {
	switch {
	case host == "" && !f.noHost:
		return errNoHost
	case host != "" && !f.selected[host]:
		return errOtherHost
	}
	return nil
}

// missing returns the selected hosts that a file with hosts does not have.
func (f hostFilter) missing() (names []string) {
	for _, host := range slices.Sorted(maps.Keys(f.selected)) {
		if len(f.inFile) > 0 && f.inFile[host] == 0 {
			names = append(names, host)
		}
	}
	return names
}
