package cli

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

// widget is what the doctor knows of an element. A test compares it with elements.d.ts.
type widget struct {
	metric     string // the default; empty: it has several
	writes     bool   // visitors contribute by it
	attributes []string
}

// commonAttributes are those of every element.
var commonAttributes = []string{"site", "metric", "page", "count", "live", "label", "kept", "refused"}

// widgets are the elements by name.
var widgets = map[string]widget{
	"tally-like":      {metric: "likes", writes: true},
	"tally-count":     {metric: "likes"},
	"tally-claps":     {metric: "claps", writes: true, attributes: []string{"max"}},
	"tally-reactions": {writes: true, attributes: []string{"reactions"}},
	"tally-visitors":  {metric: "visitors", writes: true, attributes: []string{"scope", "consent", "local"}},
	"tally-readers":   {metric: "readers", attributes: []string{"scope", "consent", "local"}},
	"tally-top":       {metric: "likes", attributes: []string{"limit", "href"}},
}

// maxTopicsAsked bounds the pairs of site and metric that are asked for: each may cost a
// request, and a page has a handful.
const maxTopicsAsked = 50

// defaultReactions are the metrics of a <tally-reactions> that names none.
var defaultReactions = []string{"heart", "party", "rocket", "laugh", "wow", "sad"}

// element is an element of the page whose name begins as those of the widgets do.
type element struct {
	name       string
	attributes map[string]string
}

var (
	// elementTags finds also names that are nearly those of the widgets.
	elementTags = regexp.MustCompile(`(?is)<(tally[a-z0-9_-]*)((?:\s(?:[^>"']|"[^"]*"|'[^']*')*)?)/?>`)
	// rawText is what a browser reads as text and not as elements.
	rawText = regexp.MustCompile(`(?is)<script\b.*?</script>|<style\b.*?</style>|<textarea\b.*?</textarea>|<title\b.*?</title>`)
	// localHosts are those on which web/src/visit.js counts nobody.
	localHosts = regexp.MustCompile(`^(localhost|127\..*|::1|)$|\.(localhost|local|test)$`)
)

// elementsOf returns the elements in a page's text.
func elementsOf(text string) (found []element) {
	for _, tag := range elementTags.FindAllStringSubmatch(rawText.ReplaceAllString(text, ""), -1) {
		found = append(found, element{strings.ToLower(tag[1]), attributesOf(tag[2])})
	}
	return found
}

// siteOf returns the site that the page uses: that of the script, unless every element
// names another.
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

// topics returns the topics that the doctor asks for in place of the element's own.
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

// checkElements reports elements and attributes that do not exist, and those that count
// nobody on this host.
func (x *examination) checkElements(found []element) {
	unknown := map[string]bool{} // what was reported
	names := slices.Sorted(maps.Keys(widgets))
	counted, local := 0, 0
	for _, e := range found {
		w, ok := widgets[e.name]
		if !ok {
			if !unknown[e.name] {
				x.fault("elements", "there is no <%s>%s", e.name, config.DidYouMean("", e.name, names))
			}
			unknown[e.name] = true
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(e.attributes)) {
			known := append(slices.Clone(commonAttributes), w.attributes...)
			if near, ok := config.MostSimilar(name, known); ok && near != name && !globalAttribute(name) && !unknown[e.name+" "+name] {
				x.hint("elements", "<%s> has no attribute %s; did you mean %s?", e.name, name, near)
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
	if localHosts.MatchString(x.page.Hostname()) && (counted == 0 || local < counted) {
		x.hint("visitors", "visitors and readers are not counted on %s; the attribute local on <tally-visitors> and <tally-readers> counts them there, too", x.page.Hostname())
	}
}

// globalAttribute reports whether every element of HTML may have an attribute.
func globalAttribute(name string) bool {
	for _, prefix := range []string{"aria-", "data-", "on"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"id", "class", "style", "slot", "part", "lang", "dir", "hidden", "title", "role", "tabindex", "is", "inert", "nonce"}, name)
}

// askElements asks whether the sites and metrics of the page's elements exist, and
// whether visitors may contribute to them. Nothing is counted.
func (x *examination) askElements(found []element) {
	var topics []string
	of := map[string]element{} // the first element of a topic; one that writes if there is one
	for _, e := range found {
		if _, ok := widgets[e.name]; !ok {
			continue
		}
		for _, topic := range e.topics(x.site) {
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
	topics = topics[:min(len(topics), maxTopicsAsked)]
	response, err := x.post("v1/counts", map[string]any{"topics": topics})
	if err != nil {
		x.fault("elements", "the service does not answer: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		x.fault("elements", "the service answers %s: %s", response.Status, reason(response.Body))
		return
	}
	var said struct{ Counts []frame }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxPageBytes)).Decode(&said); err != nil || len(said.Counts) != len(topics) {
		x.fault("elements", "%s does not speak as tallycast does", x.api)
		return
	}
	well := true
	for i, topic := range topics {
		refused := said.Counts[i].Error
		if refused == nil && widgets[of[topic].name].writes {
			refused = x.refusedWrite(topic)
		}
		if refused != nil {
			well = x.fault("elements", "<%s> of %s: %s: %s", of[topic].name, strings.TrimSuffix(topic, "/"+probeKey), refused.Code, refused.Message)
		}
	}
	if well && !x.ill {
		x.well("elements", "%s, whose sites and metrics exist", counted(len(found), "element"))
	}
}

// refusedWrite returns why visitors cannot contribute to topic; nil: they can. It asserts
// what no metric takes, so that nothing is counted.
func (x *examination) refusedWrite(topic string) *refusal {
	response, err := x.post("v1/"+topic, map[string]any{"amount": -1})
	if err != nil {
		return nil // askAddress reports it
	}
	defer response.Body.Close()
	code, message, _ := strings.Cut(reason(response.Body), ": ")
	if code != string(tally.CodeReadOnlyMetric) {
		return nil
	}
	return &refusal{code, message}
}
