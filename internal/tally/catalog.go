package tally

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// DefaultSite exists in every catalog.
const DefaultSite = "default"

// DefaultMetrics returns the metrics that exist without being declared.
func DefaultMetrics() map[string]Rule {
	toggle := Rule{Kind: Toggle, Max: 1}
	return map[string]Rule{
		"likes": toggle, "heart": toggle, "party": toggle, "rocket": toggle,
		"laugh": toggle, "wow": toggle, "sad": toggle,
		"claps":    {Kind: Amount, Max: 50},
		"visitors": {Kind: Once, Max: 1},
		"views":    {Kind: Window, Max: 1, Window: 30 * 60 * 1e9},
		"readers":  {Kind: Presence},
	}
}

// Catalog knows which sites and metrics exist. It is fixed after construction, but for
// what [Catalog.AdoptRules] adds to an open one.
type Catalog struct {
	sites   map[string]bool
	metrics map[string]Rule
	open    bool // knows all names

	learning sync.Mutex // held while learnt is replaced
	learnt   atomic.Pointer[map[string]Rule]
}

// NewCatalog returns a catalog of [DefaultSite] and the sites given, and of the
// metrics given. Names are assumed valid; configuration checks them.
func NewCatalog(sites []string, metrics map[string]Rule) *Catalog {
	c := &Catalog{sites: map[string]bool{DefaultSite: true}, metrics: maps.Clone(metrics)}
	for _, site := range sites {
		c.sites[site] = true
	}
	return c
}

// NewOpenCatalog returns a catalog that knows all sites and metrics, and the rules of
// the metrics given: for reading a store without having been told what was declared
// for it, see [Catalog.AdoptRules]. [Catalog.Sites] and [Catalog.Metrics] name those that are known by name.
func NewOpenCatalog(metrics map[string]Rule) *Catalog {
	c := NewCatalog(nil, metrics)
	c.open = true
	return c
}

// Resolve reads a topic whose site and metric must exist.
// Errors: [CodeBadTopic], [CodeUnknownSite], [CodeUnknownMetric].
func (c *Catalog) Resolve(text string) (Topic, error) {
	topic, err := ParseTopic(text)
	if err != nil {
		return Topic{}, err
	}
	return topic, c.Validate(topic.Site(), topic.Metric())
}

// Validate tells whether site and metric exist.
// Errors: [CodeUnknownSite], [CodeUnknownMetric].
func (c *Catalog) Validate(site, metric string) error {
	if c.open {
		return nil
	}
	if !c.sites[site] {
		return Errorf(CodeUnknownSite, "there is no site %q here; --site declares one", site)
	}
	if _, ok := c.metrics[metric]; !ok {
		return Errorf(CodeUnknownMetric, "there is no metric %q here; --metric declares one", metric)
	}
	return nil
}

// CheckEditable reports whether the numbers of topic can be set.
// Errors: [CodeUnknownSite], [CodeUnknownMetric], [CodeReadOnlyMetric].
func (c *Catalog) CheckEditable(topic Topic) error {
	if err := c.Validate(topic.Site(), topic.Metric()); err != nil {
		return err
	}
	return c.Rule(topic).CheckEditable(topic.Metric())
}

// Rule returns the rule of a topic that was resolved, the zero Rule for others.
func (c *Catalog) Rule(topic Topic) Rule { return c.MetricRule(topic.Metric()) }

// MetricRule returns the rule of a metric, the zero Rule of an unknown one.
func (c *Catalog) MetricRule(name string) Rule {
	if learnt := c.learnt.Load(); learnt != nil {
		if rule, ok := (*learnt)[name]; ok {
			return rule
		}
	}
	return c.metrics[name]
}

// Sites returns the names of all sites, sorted.
func (c *Catalog) Sites() []string { return slices.Sorted(maps.Keys(c.sites)) }

// Metrics returns the names of all metrics, sorted.
func (c *Catalog) Metrics() []string {
	names := slices.Collect(maps.Keys(c.metrics))
	if learnt := c.learnt.Load(); learnt != nil {
		names = slices.AppendSeq(names, maps.Keys(*learnt))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
