package importer

import (
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/tally"
)

// pageKey returns the key that the widgets give to the page at path. Its query names the
// same page, unless keepQuery says otherwise.
func pageKey(path string, keepQuery bool) (string, error) {
	if !keepQuery {
		path, _, _ = strings.Cut(path, "?")
	}
	return pagekey.OfPath(path)
}

// splitAddress returns host and path of a page's address, with or without its scheme,
// or of a path alone, which has no host.
func splitAddress(address string) (host, path string, err error) {
	if strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//") {
		return "", address, nil
	}
	rest := address
	if _, after, ok := strings.Cut(address, "://"); ok {
		rest = after
	}
	rest = strings.TrimPrefix(rest, "//")
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		host, path = rest[:at], rest[at:]
	} else {
		host = rest
	}
	host = hostOf(host)
	if host == "" || strings.ContainsAny(host, " \t@\\") {
		return "", "", fmt.Errorf("%.300q is no address of a page", address)
	}
	return host, path, nil
}

// hostOfURL returns the host of a URL; it is empty for a path and other names.
func hostOfURL(text string) string {
	if !strings.HasPrefix(text, "//") && !strings.Contains(text, "://") {
		return ""
	}
	host, _, err := splitAddress(text)
	if err != nil {
		return ""
	}
	return host
}

// Mapping says how what another counter counted is called here.
type Mapping struct {
	Site string
	// Metrics names the metric for each figure that a format has, such as views; a
	// figure without one is left out.
	Metrics map[string]string
	// Hosts, if not empty, are those whose pages are taken and added up; see [ParseHost].
	Hosts []string
	// Websites, if not empty, are the ids of Umami's websites that are taken.
	Websites []string
	// KeepQuery makes pages of one path and several queries several.
	KeepQuery bool
}

// wholeSite is the key of what is counted of a site as a whole.
const wholeSite = "site"

// page returns the key of the page at a path.
func (n Mapping) page(path string) (string, error) { return pageKey(path, n.KeepQuery) }

// topic returns the topic of a figure; false if that is left out.
func (n Mapping) topic(figure, key string) (topic tally.Topic, wanted bool, err error) {
	metric := n.Metrics[figure]
	if metric == "" {
		return tally.Topic{}, false, nil
	}
	topic, err = tally.NewTopic(n.Site, metric, key)
	if err != nil {
		err = fmt.Errorf("%.300q: %s", key, tally.AsError(err).Message)
	}
	return topic, true, err
}
