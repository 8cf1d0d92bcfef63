package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

// widget describes an element. A test compares it with elements.d.ts.
type widget struct {
	metric     string // the default; empty if it has several
	writes     bool   // visitors contribute with it
	attributes []string
}

// commonAttributes are attributes of every element.
var commonAttributes = []string{"site", "metric", "page", "count", "live", "label", "kept", "refused"}

// widgets are the elements by name.
var widgets = map[string]widget{
	"tally-like":      {metric: "likes", writes: true},
	"tally-count":     {metric: "likes"},
	"tally-claps":     {metric: "claps", writes: true, attributes: []string{"max"}},
	"tally-reactions": {writes: true, attributes: []string{"reactions"}},
	"tally-visitors":  {metric: "visitors", writes: true, attributes: []string{"scope", "consent", "local"}},
	"tally-readers":   {metric: "readers", attributes: []string{"scope", "consent", "local"}},
	"tally-top":       {metric: "likes", attributes: []string{"limit", "href", "empty", "since"}},
	"tally-poll":      {metric: "poll", writes: true, attributes: []string{"options", "closed", "withdraw", "results", "send", "total"}},
	"tally-rating":    {metric: "rating", writes: true, attributes: []string{"options", "closed", "withdraw", "send", "total"}},
	"tally-vote":      {metric: "votes", writes: true, attributes: []string{"options", "closed", "withdraw", "show"}},
	"tally-trend":     {metric: "likes", attributes: []string{"days"}},
}

// probeKey is the key of the topics that the doctor reads and never changes.
const probeKey = "tallycast-doctor"

// maxTopicsChecked bounds the topics that are checked: each may take a request, and a page has
// few.
const maxTopicsChecked = 50

// defaultReactions are the metrics of a <tally-reactions> without the attribute.
var defaultReactions = []string{"heart", "party", "rocket", "laugh", "wow", "sad"}

// localHosts matches hosts on which web/src/visit.js does not count visitors.
var localHosts = regexp.MustCompile(`^(localhost|127\..*|::1|)$|\.(localhost|local|test)$`)

// element is an element of a page.
type element struct {
	name       string
	attributes map[string]string
}

// elementsOf returns the elements in the HTML of a page, in their order.
func elementsOf(page []byte) (found []element) {
	for tokens := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch tokens.Next() {
		case html.ErrorToken: // the end
			return found
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			e := element{token.Data, map[string]string{}}
			for _, a := range slices.Backward(token.Attr) { // of two equal attributes the first applies
				e.attributes[a.Key] = a.Val
			}
			found = append(found, e)
		}
	}
}

// siteOf returns the site of the page: that of the script, unless every element names
// another one.
func siteOf(found []element, script string) string {
	for _, e := range found {
		if own, ok := e.attributes["site"]; !ok || own == script {
			return script
		}
	}
	if len(found) > 0 {
		return found[0].attributes["site"]
	}
	return script
}

// topics returns the topics to check, with [probeKey] instead of the element's own key.
func (e element) topics(site string) (topics []string) {
	if own, ok := e.attributes["site"]; ok {
		site = own
	}
	metrics := []string{widgets[e.name].metric}
	if own, ok := e.attributes["metric"]; ok {
		metrics[0] = own
	}
	if e.name == "tally-reactions" {
		metrics = defaultReactions
		if own, ok := e.attributes["reactions"]; ok {
			metrics = nil
			for part := range strings.SplitSeq(own, ",") {
				if name, _, _ := strings.Cut(part, "="); strings.TrimSpace(name) != "" {
					metrics = append(metrics, strings.TrimSpace(name))
				}
			}
		}
	}
	for _, metric := range metrics {
		topics = append(topics, site+"/"+metric+"/"+probeKey)
	}
	return topics
}

// checkElements finds the widgets and their site. It reports unknown elements and
// attributes, and elements that do not count on this host.
func (c *pageCheck) checkElements() {
	for _, e := range c.elements {
		if strings.HasPrefix(e.name, "tally") { // also misspelt
			c.widgets = append(c.widgets, e)
		}
	}
	if len(c.widgets) == 0 {
		c.hint("elements", "the HTML of the page has none; scripts may add them")
	}
	c.site = siteOf(c.widgets, cmp.Or(c.source.Query().Get("site"), tally.DefaultSite))
	unknown := map[string]bool{} // already reported
	names := slices.Sorted(maps.Keys(widgets))
	counted, local := 0, 0
	for _, e := range c.widgets {
		w, ok := widgets[e.name]
		if !ok {
			if !unknown[e.name] {
				c.fail("elements", "there is no <%s>%s", e.name, config.DidYouMean("", e.name, names))
			}
			unknown[e.name] = true
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(e.attributes)) {
			known := append(slices.Clone(commonAttributes), w.attributes...)
			if near, ok := config.MostSimilar(name, known); ok && near != name && !globalAttribute(name) && !unknown[e.name+" "+name] {
				c.hint("elements", "<%s> has no attribute %s; did you mean %s?", e.name, name, near)
				unknown[e.name+" "+name] = true
			}
		}
		if e.name == "tally-visitors" || e.name == "tally-readers" {
			counted++
			if text, ok := e.attributes["local"]; ok && text != "false" {
				local++
			}
		}
	}
	if localHosts.MatchString(c.page.Hostname()) && (counted == 0 || local < counted) {
		c.hint("visitors", "visitors and readers are not counted on %s; the attribute local on <tally-visitors> and <tally-readers> counts them there, too", c.page.Hostname())
	}
}

// globalAttribute reports whether all HTML elements may have an attribute.
func globalAttribute(name string) bool {
	for _, prefix := range []string{"aria-", "data-", "on"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"id", "class", "style", "slot", "part", "lang", "dir", "hidden", "title", "role", "tabindex", "is", "inert", "nonce"}, name)
}

// checkTopics checks that the sites and metrics of the page's elements exist, and that
// visitors can contribute to them. Nothing is counted.
func (c *pageCheck) checkTopics() {
	var topics []string
	of := map[string]element{} // an element of each topic; one that writes, if there is one
	for _, e := range c.widgets {
		if _, ok := widgets[e.name]; !ok {
			continue
		}
		for _, topic := range e.topics(c.site) {
			if before, ok := of[topic]; !ok {
				topics = append(topics, topic)
			} else if widgets[before.name].writes {
				continue
			}
			of[topic] = e
		}
	}
	if len(topics) == 0 {
		return
	}
	topics = topics[:min(len(topics), maxTopicsChecked)]
	counts, _, ok := c.readCounts("elements", topics)
	if !ok {
		return
	}
	for i, topic := range topics {
		refused := counts[i].Error
		if refused == nil && widgets[of[topic].name].writes {
			refused = c.refusedWrite(topic)
		}
		if refused != nil {
			ok = c.fail("elements", "<%s> of %s: %s: %s", of[topic].name, strings.TrimSuffix(topic, "/"+probeKey), refused.Code, refused.Message)
		}
	}
	if ok && !c.failed {
		c.ok("elements", "%s, whose sites and metrics exist", counted(int64(len(c.widgets)), "element"))
	}
}

// refusedWrite returns the reason why visitors cannot contribute to topic; nil if they can.
func (c *pageCheck) refusedWrite(topic string) *admin.ItemError {
	code, message, err := c.writeInvalid(topic)
	if err != nil || code != tally.CodeReadOnlyMetric {
		return nil // checkAddress reports an error
	}
	return &admin.ItemError{Code: code, Message: message}
}

// writeInvalid sends an invalid amount, which the service refuses in any case, and returns the
// code and message of the refusal.
func (c *pageCheck) writeInvalid(topic string) (code tally.Code, message string, err error) {
	response, err := c.post("v1/"+topic, map[string]any{"amount": -1})
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	code, message, err = readProblem(response.Body)
	if err == nil && code == "" {
		err = fmt.Errorf("%s: %s", response.Status, message)
	}
	return code, message, err
}
