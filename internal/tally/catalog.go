package tally

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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
		"views":    {Kind: Window, Max: 1, Window: 30 * time.Minute},
		"readers":  {Kind: Presence},
		"votes":    {Kind: Choice, Max: 2},
		"rating":   {Kind: Choice, Max: 5},
		"poll":     {Kind: Choice, Max: 10},
	}
}

// Catalog holds the sites and metrics that exist. It is fixed after construction, except
// for the rules that [Catalog.AdoptRules] adds to an open catalog.
type Catalog struct {
	sites   map[string]bool
	metrics map[string]Rule
	isOpen  bool // every name exists

	adopting sync.Mutex // held while adopted is replaced
	adopted  atomic.Pointer[map[string]Rule]
}

// NewCatalog returns a catalog of [DefaultSite], sites and metrics. The caller has checked
// their names.
func NewCatalog(sites []string, metrics map[string]Rule) *Catalog {
	c := &Catalog{sites: map[string]bool{DefaultSite: true}, metrics: maps.Clone(metrics)}
	for _, site := range sites {
		c.sites[site] = true
	}
	return c
}

// NewOpenCatalog returns a catalog in which all sites and metrics exist. It is for a store
// whose configuration is not known, see [Catalog.AdoptRules]. [Catalog.Sites] returns the
// default site, and [Catalog.Metrics] the names of metrics and of adopted rules.
func NewOpenCatalog(metrics map[string]Rule) *Catalog {
	c := NewCatalog(nil, metrics)
	c.isOpen = true
	return c
}

// IsOpen reports whether all sites exist, so that [Catalog.Sites] lacks some.
func (c *Catalog) IsOpen() bool { return c.isOpen }

// Within returns a catalog that has only those of sites that exist in c, and all metrics with
// their present rules.
func (c *Catalog) Within(sites []string) *Catalog {
	part := &Catalog{sites: map[string]bool{}, metrics: c.metrics}
	part.adopted.Store(c.adopted.Load())
	for _, site := range sites {
		if c.isOpen || c.sites[site] {
			part.sites[site] = true
		}
	}
	return part
}

// Resolve parses a topic whose site and metric must exist.
// Errors: [CodeBadTopic], [CodeUnknownSite], [CodeUnknownMetric].
func (c *Catalog) Resolve(text string) (Topic, error) {
	topic, err := ParseTopic(text)
	if err != nil {
		return Topic{}, err
	}
	return topic, c.Validate(topic.Site(), topic.Metric())
}

// Validate reports whether site and metric exist.
// Errors: [CodeUnknownSite], [CodeUnknownMetric].
func (c *Catalog) Validate(site, metric string) error {
	if c.isOpen {
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

// ValidateEdit reports whether e is allowed. Errors: [CodeUnknownSite],
// [CodeUnknownMetric] and those of [Edit.Validate].
func (c *Catalog) ValidateEdit(e *Edit) error {
	if err := c.Validate(e.Topic.Site(), e.Topic.Metric()); err != nil {
		return err
	}
	return e.Validate(c.Rule(e.Topic))
}

// ValidatePortion reports whether p can be stored. The message names its topic. Errors:
// [CodeUnknownSite], [CodeUnknownMetric] and those of [Portion.Validate].
func (c *Catalog) ValidatePortion(p *Portion) error {
	err := c.Validate(p.Topic.Site(), p.Topic.Metric())
	if err == nil {
		err = p.Validate(c.Rule(p.Topic))
	}
	if err != nil {
		e := AsError(err)
		return Errorf(e.Code, "%s: %s", p.Topic, e.Message)
	}
	return nil
}

// Rule returns the rule of a topic's metric, the zero Rule of an unknown one.
func (c *Catalog) Rule(topic Topic) Rule { return c.MetricRule(topic.Metric()) }

// MetricRule returns the rule of a metric, the zero Rule of an unknown one.
func (c *Catalog) MetricRule(name string) Rule {
	if adopted := c.adopted.Load(); adopted != nil {
		if rule, ok := (*adopted)[name]; ok {
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
	if adopted := c.adopted.Load(); adopted != nil {
		names = slices.AppendSeq(names, maps.Keys(*adopted))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
