package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
)

// config is the configuration, read and checked.
type config struct {
	listen         string
	internalListen string // empty: none
	basePath       string // empty, or with a leading and no trailing slash

	store         storeURL
	redisPrefix   string
	allowEviction bool
	secret        []byte        // nil: the store's own
	journal       time.Duration // 0: none is kept

	sites   sites
	known   knownSites
	metrics map[string]tally.Rule // all of them
	demo    bool
	seeding seeding

	trustedProxies []netip.Prefix
	serverToken    string
	adminToken     string // empty: nothing is below /admin/

	rateLimit            ratelimit.Limit
	readLimit            ratelimit.Limit
	newTopicLimit        ratelimit.Limit
	maxViewers           int // 0: any number, as for the next two
	maxViewersPerAddress int
	maxWatchedTopics     int

	flushInterval time.Duration
	writeTimeout  time.Duration

	drain     time.Duration
	logLevel  string
	logFormat string

	// Of the process, not of a setting.

	commandLine []string // without credentials
	files       int      // that may be open; 0: any number
}

// problem is one thing that is wrong with the configuration.
type problem struct {
	setting string // without --; empty where the source alone is wrong
	source  source // empty where the message says it
	message string
}

func (p problem) String() string {
	if p.setting == "" {
		return fmt.Sprintf("%s: %s", p.source, p.message)
	}
	if p.source == "" {
		return "--" + p.setting + ": " + p.message
	}
	return fmt.Sprintf("--%s (%s): %s", p.setting, p.source, p.message)
}

// readConfig reads the values of all settings and returns everything that is
// wrong with them, in the order of the settings.
func readConfig(values map[string]value) (config, []problem) {
	r := &reader{values: values}
	ofSites := many(r, "site", parseSites)
	c := config{
		logLevel:  one(r, "log-level", parseChoice("debug", "info", "warn", "error")),
		logFormat: one(r, "log-format", parseChoice("auto", "text", "json")),
		drain:     one(r, "drain", parseDuration(0, 10*time.Minute)),

		store:         one(r, "store", parseStore),
		redisPrefix:   one(r, "redis-prefix", parsePrefix),
		allowEviction: one(r, "allow-eviction", parseBool),
		journal:       one(r, "journal", parseOptionalDuration(time.Hour, redisstore.MaxJournal)),

		sites:   ofSites.origins,
		known:   ofSites.known,
		metrics: many(r, "metric", parseMetrics),
		demo:    one(r, "demo", parseBool),

		trustedProxies: many(r, "trusted-proxy", parseProxies),
		serverToken:    one(r, "server-token", parseToken),

		rateLimit:            one(r, "rate-limit", parseRate),
		readLimit:            one(r, "read-limit", parseRate),
		newTopicLimit:        one(r, "new-topic-limit", parseRate),
		maxViewers:           one(r, "max-viewers", parseLimit),
		maxViewersPerAddress: one(r, "max-viewers-per-address", parseLimit),
		maxWatchedTopics:     one(r, "max-watched-topics", parseLimit),

		flushInterval: one(r, "flush-interval", parseDuration(time.Millisecond, 10*time.Second)),
		writeTimeout:  one(r, "write-timeout", parseDuration(time.Second, 10*time.Minute)),
	}
	for _, origin := range many(r, "allow-origin", parseOrigins) {
		c.sites.add(tally.DefaultSite, origin)
	}
	r.readListeners(&c)
	r.readSecret(&c)
	r.readAdminToken(&c)
	r.readSeeding(&c)
	return c, r.problems
}

// reader reads values and gathers what is wrong with them.
type reader struct {
	values   map[string]value
	problems []problem
}

func (r *reader) refuse(name string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") { // errors.Join's
		r.problems = append(r.problems, problem{name, r.values[name].source, line})
	}
}

// one reads a setting that has one value; one without any stays zero.
func one[T any](r *reader, name string, parse func(string) (T, error)) (zero T) {
	v := r.values[name]
	if len(v.texts) == 0 {
		return zero
	}
	read, err := parse(v.texts[0]) // no layer holds more than one
	if err != nil {
		r.refuse(name, err)
		return zero
	}
	return read
}

// many reads a repeatable setting, whose items commas separate too.
func many[T any](r *reader, name string, parse func([]string) (T, error)) T {
	var items []string
	for _, text := range r.values[name].texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	read, err := parse(items)
	if err != nil {
		r.refuse(name, err)
	}
	return read
}

// readListeners reads the settings of [listeners].
func (r *reader) readListeners(c *config) {
	c.listen = one(r, "listen", parseListen)
	c.internalListen = one(r, "internal-listen", parseOptionalListen)
	c.basePath = one(r, "base-path", parseBasePath)
	if c.listen != "" && c.listen == c.internalListen && !strings.HasSuffix(c.listen, ":0") {
		r.refuse("internal-listen", fmt.Errorf("%q is the address of --listen too; it should be another, or empty", c.listen))
	}
}

// readSecret reads the two settings that may hold the secret.
func (r *reader) readSecret(c *config) {
	text, file := r.values["secret"], r.values["secret-file"]
	if text.texts != nil && file.texts != nil {
		r.refuse("secret-file", fmt.Errorf("the secret is given by --secret (%s) too; it should be given once", text.source))
		return
	}
	c.secret = one(r, "secret", checkSecret)
	if file.texts != nil {
		c.secret = one(r, "secret-file", readSecretFile)
	}
}

// readAdminToken reads the two settings that may hold the owner's token.
func (r *reader) readAdminToken(c *config) {
	text, file := r.values["admin-token"], r.values["admin-token-file"]
	if text.texts != nil && file.texts != nil {
		r.refuse("admin-token-file", fmt.Errorf("the token is given by --admin-token (%s) too; it should be given once", text.source))
		return
	}
	c.adminToken = one(r, "admin-token", parseToken)
	if file.texts != nil {
		c.adminToken = one(r, "admin-token-file", readTokenFile)
	}
	if c.adminToken != "" && c.adminToken == c.serverToken {
		name := "admin-token"
		if file.texts != nil {
			name = "admin-token-file"
		}
		r.refuse(name, errors.New("is that of --server-token, too; whoever may like for visitors should not own the numbers"))
	}
}
