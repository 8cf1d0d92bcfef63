package importer

import (
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/tally"
)

// Formats are the readers of files with figures of pages, by the name of the format.
var Formats = map[string]func(File, Mapping) (Result, error){
	"goatcounter": ReadGoatCounter,
	"umami":       ReadUmami,
	"applause":    ReadApplause,
	"busuanzi":    ReadBusuanzi,
}

// Mapping determines the topics of the figures of another counter.
type Mapping struct {
	Site string
	// Metrics maps figures to metrics. Other figures are skipped. If it is empty, each figure is for
	// the metric of the same name.
	Metrics map[string]string
	// Hosts are the hosts whose pages are imported and added up; see [ParseHost]. If it is empty, the
	// file may have one host.
	Hosts []string
	// Websites are the ids of Umami's websites that are imported. If it is empty, the file may have
	// one website.
	Websites []string
	// KeepQuery makes the query a part of the key, as --keep-query says.
	KeepQuery bool
}

// wholeSite is the key of the figures of a site as a whole.
const wholeSite = "site"

// key returns the key of the page at a path, see [pagekey.OfPath].
func (m Mapping) key(path string) (string, error) {
	if !m.KeepQuery {
		path, _, _ = strings.Cut(path, "?")
	}
	return pagekey.OfPath(path)
}

// metric returns the metric of a figure; empty if the figure is skipped.
func (m Mapping) metric(figure string) string {
	if len(m.Metrics) == 0 {
		return figure
	}
	return m.Metrics[figure]
}

// topic returns the topic of a figure. wanted is false if the figure is skipped.
func (m Mapping) topic(figure, key string) (topic tally.Topic, wanted bool, err error) {
	metric := m.metric(figure)
	if metric == "" {
		return tally.Topic{}, false, nil
	}
	topic, err = tally.NewTopic(m.Site, metric, key)
	if err != nil {
		err = fmt.Errorf("%.300q: %s", key, tally.AsError(err).Message)
	}
	return topic, true, err
}

// splitAddress splits the address of a page, with or without a scheme, into host and path.
// A path alone has no host.
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
		rest, path = rest[:at], rest[at:]
	}
	host = normalHost(rest)
	if host == "" || strings.ContainsAny(host, " \t@\\") {
		return "", "", fmt.Errorf("%.300q is not the address of a page", address)
	}
	return host, path, nil
}

// hostOfURL returns the host of a URL; empty for other text.
func hostOfURL(text string) string {
	if !strings.HasPrefix(text, "//") && !strings.Contains(text, "://") {
		return ""
	}
	host, _, _ := splitAddress(text) // empty with an error
	return host
}
