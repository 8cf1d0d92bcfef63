package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

// Config is the parsed and checked configuration of serve.
type Config struct {
	Listen         string
	InternalListen string // empty: none
	BasePath       string // empty, or with a leading and no trailing slash

	Store         StoreURL
	RedisPrefix   string
	AllowEviction bool
	Secret        []byte        // nil: the store generates and keeps it
	Journal       time.Duration // 0: there is no journal

	Sites     Sites
	KnownKeys KnownSites
	Metrics   map[string]tally.Rule // the default metrics included
	Demo      bool
	Seeding   Seeding

	TrustedProxies []netip.Prefix
	ServerToken    string
	AdminToken     string // empty: /admin/ is off

	RateLimit            ratelimit.Limit
	ReadLimit            ratelimit.Limit
	NewTopicLimit        ratelimit.Limit
	MaxViewers           int // 0: no limit, as in the next two
	MaxViewersPerAddress int
	MaxWatchedTopics     int

	FlushInterval time.Duration
	WriteTimeout  time.Duration

	Drain     time.Duration
	LogLevel  string
	LogFormat string
}

// Seeding says where serve reads seeds.
type Seeding struct {
	Paths []string // none: serve seeds nothing
	Rules seed.Rules
}

// Parse parses the values of all settings and returns every problem.
func Parse(values Values) (Config, Problems) {
	r := &Reader{Values: values}
	siteSettings := ReadList(r, "site", parseSites)
	c := Config{
		LogLevel:  Read(r, "log-level", ParseChoice("debug", "info", "warn", "error")),
		LogFormat: Read(r, "log-format", ParseChoice("auto", "text", "json")),
		Drain:     Read(r, "drain", ParseDuration(0, 10*time.Minute)),

		Store:         Read(r, "store", ParseStore),
		RedisPrefix:   Read(r, "redis-prefix", parseRedisPrefix),
		AllowEviction: Read(r, "allow-eviction", ParseBool),
		Secret:        readOrFile(r, "the secret", "secret", parseSecret),
		Journal:       Read(r, "journal", parseOptionalDuration(time.Hour, redisstore.MaxJournal)),

		Sites:     siteSettings.origins,
		KnownKeys: siteSettings.known,
		Metrics:   ReadList(r, "metric", parseMetrics),
		Demo:      Read(r, "demo", ParseBool),

		TrustedProxies: ReadList(r, "trusted-proxy", parseProxies),
		ServerToken:    Read(r, "server-token", ParseToken),
		AdminToken:     r.ReadToken("admin-token"),

		RateLimit:            Read(r, "rate-limit", parseRate),
		ReadLimit:            Read(r, "read-limit", parseRate),
		NewTopicLimit:        Read(r, "new-topic-limit", parseRate),
		MaxViewers:           Read(r, "max-viewers", ParseLimit),
		MaxViewersPerAddress: Read(r, "max-viewers-per-address", ParseLimit),
		MaxWatchedTopics:     Read(r, "max-watched-topics", ParseLimit),

		FlushInterval: Read(r, "flush-interval", ParseDuration(time.Millisecond, 10*time.Second)),
		WriteTimeout:  Read(r, "write-timeout", ParseDuration(time.Second, 10*time.Minute)),
	}
	for _, origin := range ReadList(r, "allow-origin", parseOrigins) {
		c.Sites.add(tally.DefaultSite, origin)
	}
	c.readListeners(r)
	if c.AdminToken != "" && c.AdminToken == c.ServerToken {
		name := "admin-token"
		if r.Values["admin-token-file"].IsGiven() {
			name = "admin-token-file"
		}
		r.Reject(name, errors.New("is that of --server-token, too; a program that may contribute for visitors should not be able to change counts"))
	}
	c.readSeeding(r)
	return c, r.Problems
}

// ParseListeners parses [ListenSettings] alone.
func ParseListeners(values Values) (c Config, problems Problems) {
	r := &Reader{Values: values}
	c.readListeners(r)
	return c, r.Problems
}

func (c *Config) readListeners(r *Reader) {
	c.Listen = Read(r, "listen", parseListen)
	c.InternalListen = Read(r, "internal-listen", parseOptionalListen)
	c.BasePath = Read(r, "base-path", parseBasePath)
	if c.Listen != "" && c.Listen == c.InternalListen && !strings.HasSuffix(c.Listen, ":0") {
		r.Reject("internal-listen", fmt.Errorf("%q is the address of --listen too; it should be another, or empty", c.Listen))
	}
}

func (c *Config) readSeeding(r *Reader) {
	before := len(r.Problems)
	c.Seeding.Paths = ReadList(r, "seed-from", func(items []string) ([]string, error) {
		var problems []error
		for _, item := range items {
			if _, err := os.Stat(item); err != nil {
				problems = append(problems, fmt.Errorf("%s should be a folder or a file: %w", item, FileErrorReason(err)))
			}
		}
		return items, errors.Join(problems...)
	})
	c.Seeding.Rules = r.ReadSeedRules("seed-")
	if len(c.Seeding.Paths) == 0 || len(r.Problems) > before {
		return
	}
	site := c.Seeding.Rules.Site
	if !slices.Contains(c.Sites.Names(), site) {
		r.Reject("seed-site", fmt.Errorf("there is no site %q; --site declares one", site))
		return
	}
	for _, field := range c.Seeding.Rules.Fields {
		rule, isDeclared := c.Metrics[field.Metric]
		switch {
		case !isDeclared:
			r.Reject("seed-field", fmt.Errorf("there is no metric %q; --metric declares one", field.Metric))
		case rule.Kind == tally.Presence:
			r.Reject("seed-field", fmt.Errorf("%s counts open pages and cannot be set", field.Metric))
		}
	}
}

// ReadSeedRules reads the settings that map fields of pages to topics. prefix begins
// their names.
func (r *Reader) ReadSeedRules(prefix string) seed.Rules {
	rules := seed.Rules{
		Site:        Read(r, prefix+"site", ParseSiteName),
		Fields:      ReadList(r, prefix+"field", parseSeedFields),
		KeyFrom:     Read(r, prefix+"key-from", seed.ParseKeyFrom),
		StripPrefix: Read(r, prefix+"strip-prefix", parseKeyPrefix),
		AddPrefix:   Read(r, prefix+"add-prefix", parseKeyPrefix),
	}
	if len(r.Problems) == 0 {
		if err := rules.Validate(); err != nil {
			r.Reject(prefix+"field", err)
		}
	}
	return rules
}

// ReplacedMetric is a default metric with another rule.
type ReplacedMetric struct {
	Name          string
	Rule, Default tally.Rule
}

// ReplacedMetrics returns the default metrics whose rule the configuration replaces,
// sorted by name.
func (c Config) ReplacedMetrics() (all []ReplacedMetric) {
	defaults := tally.DefaultMetrics()
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if rule := c.Metrics[name]; rule != defaults[name] {
			all = append(all, ReplacedMetric{name, rule, defaults[name]})
		}
	}
	return all
}
