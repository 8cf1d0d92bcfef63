package exchange

import (
	"errors"
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
	host = strings.ToLower(host)
	if host == "" || strings.ContainsAny(host, " \t@\\") {
		return "", "", fmt.Errorf("%.300q is no address of a page", address)
	}
	return host, path, nil
}

// Naming says how what another counter counted is called here.
type Naming struct {
	Site string
	// Metrics names the metric for each figure that a format has, such as views; a
	// figure without one is left out.
	Metrics map[string]string
	// Host, where not empty, is the only one whose pages are taken.
	Host string
	// KeepQuery makes pages of one path and several queries several.
	KeepQuery bool
}

// wholeSite is the key of what is counted of a site as a whole.
const wholeSite = "site"

// errOtherHost says that a page belongs to another host than the one that is taken.
var errOtherHost = errors.New("it is of another host")

// page returns the key of a page that is named by its address, or by host and path.
func (n Naming) page(host, path string) (string, error) {
	if n.Host != "" && host != "" && !strings.EqualFold(host, n.Host) {
		return "", errOtherHost
	}
	return pageKey(path, n.KeepQuery)
}

// topic returns the topic of a figure; false where that is left out.
func (n Naming) topic(figure, key string) (topic tally.Topic, wanted bool, err error) {
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
