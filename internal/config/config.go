package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/visitortoken"
)

// Config is the parsed and checked configuration of serve.
type Config struct {
	Listen         string
	InternalListen string // empty: none
	BasePath       string // empty, or with a leading and no trailing slash

	Store         StoreURL
	StoreReplica  StoreURL // zero: none
	RedisPrefix   string
	AllowEviction bool
	Secret        []byte        // nil: the store generates and keeps it
	Journal       time.Duration // 0: there is no journal
	History       time.Duration // 0: there is no history
	LeaseFile     string        // empty: none

	Sites     Sites
	KnownKeys KnownSites
	// SignedSites are those that take contributions only from signed visitors.
	SignedSites map[string]bool
	Metrics     map[string]tally.Rule // the default metrics included
	Demo        bool
	Seeding     Seeding

	TrustedProxies []netip.Prefix
	VisitorKeys    []visitortoken.Source
	ServerToken    string
	AdminToken     string // empty: /admin/ is off

	RateLimit            ratelimit.Limit
	ReadLimit            ratelimit.Limit
	NewTopicLimit        ratelimit.Limit
	TopicLimit           ratelimit.Limit
	MaxViewers           int // 0: no limit, as in the next two
	MaxViewersPerAddress int
	MaxWatchedTopics     int

	FlushInterval time.Duration
	WriteTimeout  time.Duration

	Drain     time.Duration
	LogLevel  string
	LogFormat string
}

// Seeding describes where serve reads seeds.
type Seeding struct {
	Paths []string // none: serve seeds nothing
	Rules seed.Rules
}

// Parse parses the values of all settings and returns every problem.
func Parse(values Values) (c Config, problems Problems) {
	r := &Reader{Values: values}
	r.Parse(c.settings())
	c.checkListeners(r)
	if c.LeaseFile != "" && c.Store.RedisURL != "" {
		r.Reject("lease-file", errors.New("is for an SQLite store, which one instance writes; several instances may share a Redis"))
	}
	if c.AdminToken != "" && c.AdminToken == c.ServerToken {
		name := "admin-token"
		if r.Values["admin-token-file"].IsGiven() {
			name = "admin-token-file"
		}
		r.Reject(name, errors.New("is the same as --server-token, so every program that contributes for visitors could change counts; choose another token"))
	}
	c.checkReplica(r)
	c.checkSeeding(r)
	c.checkSigned(r)
	return c, r.Problems
}

// ParseListeners parses [ListenSettings] alone.
func ParseListeners(values Values) (c Config, problems Problems) {
	r := &Reader{Values: values}
	r.Parse(c.listenSettings())
	c.checkListeners(r)
	return c, r.Problems
}

func (c *Config) checkListeners(r *Reader) {
	if c.Listen != "" && c.Listen == c.InternalListen && !strings.HasSuffix(c.Listen, ":0") {
		r.Reject("internal-listen", fmt.Errorf("%q is the address of --listen too; it should be another, or empty", c.Listen))
	}
}

// checkReplica checks that the replica fits the store.
func (c *Config) checkReplica(r *Reader) {
	if c.StoreReplica.RedisURL == "" || c.Store == (StoreURL{}) {
		return
	}
	if c.Store.RedisURL == "" {
		r.Reject("store-replica", errors.New("is for a store in Redis, of which it is a copy; --store is an SQLite file"))
		return
	}
	if err := checkRedis(c.Store.RedisURL, c.StoreReplica.RedisURL); err != nil {
		r.Reject("store-replica", err)
	}
}

// checkSeeding checks that the site and the metrics of the seeds are declared. Values that
// could not be parsed are empty, and are reported already.
func (c *Config) checkSeeding(r *Reader) {
	if err := c.Seeding.Rules.Validate(); err != nil && len(r.Problems) == 0 {
		r.Reject("seed-field", err)
	}
	if len(c.Seeding.Paths) == 0 {
		return
	}
	if site := c.Seeding.Rules.Site; site != "" && !slices.Contains(c.Sites.Names(), site) {
		r.Reject("seed-site", fmt.Errorf("there is no site %q; --site declares one", site))
	}
	for _, field := range c.Seeding.Rules.Fields {
		rule, isDeclared := c.Metrics[field.Metric]
		switch {
		case field.Metric == "":
		case !isDeclared:
			r.Reject("seed-field", fmt.Errorf("there is no metric %q; --metric declares one", field.Metric))
		case rule.Kind == tally.Presence:
			r.Reject("seed-field", fmt.Errorf("%s counts open pages and cannot be set", field.Metric))
		}
	}
}

// ReplacedMetric is a default metric whose rule the configuration replaces.
type ReplacedMetric struct {
	Name          string
	Rule, Default tally.Rule
}

// ReplacedMetrics returns the replaced metrics, sorted by name.
func (c Config) ReplacedMetrics() (all []ReplacedMetric) {
	defaults := tally.DefaultMetrics()
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if rule := c.Metrics[name]; rule != defaults[name] {
			all = append(all, ReplacedMetric{name, rule, defaults[name]})
		}
	}
	return all
}
