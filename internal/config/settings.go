package config

import (
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

// Setting declares one setting: a flag, and an environment variable and a key of the configuration
// file with the same name. [Settings] are those of serve.
type Setting struct {
	Name       string // as in --name and in the file
	Group      string // the heading in the help; empty for a flag of one command, without variable and key
	Value      string // placeholder for the value in the help; empty: true or false
	Default    string // in the form that is parsed
	Help       string
	Repeatable bool
	Secret     bool // the value is never printed
	Empty      bool // an empty environment variable is a value, not the absence of one
	// Alternative names another setting for the same value. The one of the higher layer applies; a
	// layer may give only one of them.
	Alternative string
	// Parse parses the value of the named setting and stores it, as [Into] and [IntoList] do; nil if
	// the Parse of another setting also parses this one.
	Parse func(r *Reader, name string)
}

// Variable returns the name of the setting's environment variable; empty if it has none.
func (s Setting) Variable() string {
	if s.Group == "" {
		return ""
	}
	return VariableName(s.Name)
}

// The groups, in the order of the help.
const (
	groupListen   = "Addresses"
	GroupStore    = "Store"
	groupSites    = "Sites and metrics"
	groupTrust    = "Access"
	groupLimits   = "Limits"
	groupDelivery = "Delivery"
	groupProcess  = "Process"
)

// ListenSettings are the settings of the addresses of an instance, without Parse.
var ListenSettings = withoutParse(new(Config).listenSettings())

func (c *Config) listenSettings() []Setting {
	return []Setting{
		{Name: "listen", Group: groupListen, Value: "ADDRESS", Default: ":8080", Parse: Into(&c.Listen, parseListen),
			Help: "Address to serve on. If nothing else is given, the PORT of a hosting platform is used."},
		{Name: "internal-listen", Group: groupListen, Value: "ADDRESS", Default: "127.0.0.1:8081", Empty: true, Parse: Into(&c.InternalListen, parseOptionalListen),
			Help: "Address of /metrics, /healthz, /readyz and /debug/pprof/; empty turns it off."},
		{Name: "base-path", Group: groupListen, Value: "PATH", Parse: Into(&c.BasePath, parseBasePath),
			Help: "Serve everything below a path such as /tally."},
	}
}

// FileSetting names the configuration file.
var FileSetting = Setting{Name: "config", Group: groupProcess, Value: "FILE",
	Help: "YAML file with the same names as the flags of serve."}

// SeedSettings returns the settings that map fields of pages to topics, which are parsed
// into rules. prefix begins their names. The caller validates the rules.
func SeedSettings(prefix, group string, rules *seed.Rules) []Setting {
	return []Setting{
		{Name: prefix + "field", Group: group, Value: "METRIC=FIELD", Default: "likes=likes", Repeatable: true, Parse: IntoEach(&rules.Fields, seed.ParseField),
			Help: "Which field holds the seed of which metric. A dot selects a field within a field: claps=params.applause. Repeatable."},
		{Name: prefix + "site", Group: group, Value: "NAME", Default: tally.DefaultSite, Parse: Into(&rules.Site, ParseSiteName),
			Help: "The site of the seeded topics."},
		{Name: prefix + "key-from", Group: group, Value: "WORD", Default: seed.FromPath, Parse: Into(&rules.KeyFrom, seed.ParseKeyFrom),
			Help: "Where a page's key comes from: path, slug, permalink, hugo (or hugo@0.111), jekyll, astro or the name of a field. A generator's rules are applied with the settings of the site around the folder."},
		{Name: prefix + "strip-prefix", Group: group, Value: "PATH", Parse: Into(&rules.StripPrefix, parseKeyPrefix),
			Help: "Remove this from the beginning of keys, such as posts."},
		{Name: prefix + "add-prefix", Group: group, Value: "PATH", Parse: Into(&rules.AddPrefix, parseKeyPrefix),
			Help: "Put this before keys, such as blog."},
	}
}

// Settings are all settings of serve, in the order of the help, without Parse.
var Settings = withoutParse(new(Config).settings())

func withoutParse(settings []Setting) []Setting {
	for i := range settings {
		settings[i].Parse = nil
	}
	return settings
}

// settings returns the settings of serve, which are parsed into c.
func (c *Config) settings() []Setting {
	return slices.Concat(c.listenSettings(), []Setting{
		{Name: "store", Group: GroupStore, Value: "URL", Default: "sqlite:data/tallycast.db", Parse: Into(&c.Store, ParseStore),
			Help: "Where counts are stored: sqlite:PATH, redis://HOST:PORT/DB, rediss:// (TLS), redis+sentinel://HOST,HOST/PRIMARY/DB or redis+cluster://HOST,HOST. With ?wait=N a write is acknowledged once N replicas have it; sentinel_user and sentinel_password are for Sentinels with a password of their own. If nothing else is given, the REDIS_URL of a hosting platform is used."},
		{Name: "store-replica", Group: GroupStore, Value: "URL", Parse: Into(&c.StoreReplica, parseReplica),
			Help: "A Redis close to this instance that replicates a distant --store: redis://HOST:PORT/DB or rediss://. Numbers are read and followed there; likes, settings and what a visitor contributed go to the store. Without the replica the store serves everything. Not with a Redis Cluster."},
		{Name: "redis-prefix", Group: GroupStore, Value: "NAME", Default: "tally", Parse: Into(&c.RedisPrefix, parseRedisPrefix),
			Help: "Prefix of every key and channel in Redis."},
		{Name: "allow-eviction", Group: GroupStore, Default: "false", Parse: Into(&c.AllowEviction, ParseBool),
			Help: "Accept a Redis whose maxmemory-policy may delete counts."},
		{Name: "secret", Group: GroupStore, Value: "TEXT", Secret: true, Parse: intoOrFile(&c.Secret, "the secret", parseSecret),
			Help: "Key of the visitor hash, 16 bytes or more, the same on all instances. If left out, it is generated at the first start and kept in the store."},
		{Name: "secret-file", Group: GroupStore, Value: "FILE", Alternative: "secret",
			Help: "File that holds the secret."},
		{Name: "journal", Group: GroupStore, Value: "TIME", Default: "168h", Parse: Into(&c.Journal, parseOptionalDuration(time.Hour, redisstore.MaxJournal)),
			Help: "How long the time and the network (as a hash) of each contribution are kept, so that a spike can be undone; or off."},
		{Name: "history", Group: GroupStore, Value: "TIME", Default: "400d", Parse: Into(&c.History, parseHistory),
			Help: "How long the count of each day is kept, in whole days up to 400d; or off. The count of each hour is kept for 8 days."},

		{Name: "site", Group: groupSites, Value: "NAME=ORIGIN", Default: "default", Repeatable: true, Parse: c.parseSites,
			Help: "A site and the origins of its pages, such as blog=https://blog.example.com,https://*.example.org. With blog=keys=known visitors can only contribute to keys that were seeded or created with a token; blog=sitemap=https://blog.example.com/sitemap.xml adds the pages of a sitemap. With blog=visitors=signed only readers who signed in can like, clap and choose (--visitor-key). Repeatable."},
		{Name: "allow-origin", Group: groupSites, Value: "ORIGIN", Repeatable: true, Parse: c.parseOrigins,
			Help: "An origin whose pages may use the site default; * is any. The service's own origin is always allowed. Repeatable."},
		{Name: "metric", Group: groupSites, Value: "NAME=RULE", Repeatable: true, Parse: IntoList(&c.Metrics, parseMetrics),
			Help: "Another metric. Its rule is toggle, amount:50, once, window:30m, presence or choice:5. Repeatable."},
		{Name: "demo", Group: groupSites, Default: "true", Parse: Into(&c.Demo, ParseBool),
			Help: "Serve the live demo page at /; --demo=false turns it off."},
		{Name: "seed-from", Group: groupSites, Value: "PATH", Repeatable: true, Parse: IntoList(&c.Seeding.Paths, parseSeedPaths),
			Help: "A folder of pages whose frontmatter gives the initial counts, or a table or document of them. It is read before the first request is answered, and watched for changes. Repeatable."},
	}, SeedSettings("seed-", groupSites, &c.Seeding.Rules), []Setting{
		{Name: "trusted-proxy", Group: groupTrust, Value: "CIDR", Repeatable: true, Parse: IntoList(&c.TrustedProxies, parseProxies),
			Help: "Proxies that are trusted to name the client's address: address ranges, or private. The first of X-Forwarded-For, Forwarded and X-Real-IP that a request has is used. Repeatable."},
		{Name: "visitor-key", Group: groupTrust, Value: "TEXT", Secret: true, Repeatable: true, Parse: c.parseVisitorKeys,
			Help: "Shared secret, 32 bytes or more, with which the site's backend signs who its readers are (HS256). With blog=TEXT for the site blog alone, if --site declares it. Repeatable."},
		{Name: "visitor-key-file", Group: groupTrust, Value: "FILE", Repeatable: true, Parse: c.parseVisitorKeyFiles,
			Help: "File with public keys in PEM (RSA: RS256; P-256: ES256; Ed25519: EdDSA), or with a shared secret, for the same purpose. blog=FILE for one site. Repeatable."},
		{Name: "visitor-jwks", Group: groupTrust, Value: "URL", Repeatable: true, Parse: c.parseVisitorKeySets,
			Help: "Address of a key set (JWKS) with such public keys. It is read every 5 minutes. blog=URL for one site. Repeatable."},
		{Name: "server-token", Group: groupTrust, Value: "TEXT", Secret: true, Parse: Into(&c.ServerToken, ParseToken),
			Help: "Requests with Authorization: Bearer TEXT name their visitor and skip address limits and origin checks. 16 bytes or more."},
		{Name: "admin-token", Group: groupTrust, Value: "TEXT", Secret: true, Parse: IntoToken(&c.AdminToken),
			Help: "Opens /admin/, where the owner reads and changes counts. 16 bytes or more, such as openssl rand -hex 32 prints. Without a token /admin/ is off."},
		{Name: "admin-token-file", Group: groupTrust, Value: "FILE", Alternative: "admin-token",
			Help: "File that holds the admin token."},

		{Name: "rate-limit", Group: groupLimits, Value: "RATE", Default: "20/s", Parse: Into(&c.RateLimit, parseRate),
			Help: "Maximum writes from one client address, across all instances, in bursts of up to three times that; or off."},
		{Name: "read-limit", Group: groupLimits, Value: "RATE", Default: "500/s", Parse: Into(&c.ReadLimit, parseRate),
			Help: "Maximum topics that one client address may read or subscribe to, on each instance, in bursts of up to three times that; or off."},
		{Name: "new-topic-limit", Group: groupLimits, Value: "RATE", Default: "200/h", Parse: Into(&c.NewTopicLimit, parseRate),
			Help: "Maximum topics that one client address may create, across all instances; or off. On each instance it also limits the pages whose history of readers an address may start."},
		{Name: "topic-limit", Group: groupLimits, Value: "RATE", Default: "120/h", Parse: Into(&c.TopicLimit, parseRate),
			Help: "Maximum new contributions to one topic from one client address, across all instances; or off. Changes, repetitions and withdrawals are free. An IPv6 /48 has 16 times this limit, and 16 times the limits of writes and new topics."},
		{Name: "max-viewers", Group: groupLimits, Value: "N", Default: "100000", Parse: Into(&c.MaxViewers, ParseLimit),
			Help: "Maximum viewers of this instance; or off."},
		{Name: "max-viewers-per-address", Group: groupLimits, Value: "N", Default: "200", Parse: Into(&c.MaxViewersPerAddress, ParseLimit),
			Help: "Maximum viewers from one client address; or off. An address may have as many other connections (256 at least), and its viewers may watch a twentieth of --max-watched-topics."},
		{Name: "max-watched-topics", Group: groupLimits, Value: "N", Default: "1000000", Parse: Into(&c.MaxWatchedTopics, ParseLimit),
			Help: "Maximum distinct topics that the viewers of this instance watch; or off."},

		{Name: "flush-interval", Group: groupDelivery, Value: "TIME", Default: "50ms", Parse: Into(&c.FlushInterval, ParseDuration(time.Millisecond, 10*time.Second)),
			Help: "Minimum time between two frames of one topic to one viewer."},
		{Name: "write-timeout", Group: groupDelivery, Value: "TIME", Default: "30s", Parse: Into(&c.WriteTimeout, ParseDuration(time.Second, 10*time.Minute)),
			Help: "Close a viewer that accepts no data for this long."},

		FileSetting,
		{Name: "log-level", Group: groupProcess, Value: "LEVEL", Default: "info", Parse: Into(&c.LogLevel, ParseChoice("debug", "info", "warn", "error")),
			Help: "debug, info, warn or error."},
		{Name: "log-format", Group: groupProcess, Value: "FORMAT", Default: "auto", Parse: Into(&c.LogFormat, ParseChoice("auto", "text", "json")),
			Help: "auto, text or json. auto is text on a terminal, json elsewhere."},
		{Name: "drain", Group: groupProcess, Value: "TIME", Default: "10s", Parse: Into(&c.Drain, ParseDuration(0, 10*time.Minute)),
			Help: "On SIGTERM or SIGHUP, the time over which viewers are disconnected, in random order."},
		{Name: "lease-file", Group: groupProcess, Value: "FILE", Parse: IntoText(&c.LeaseFile),
			Help: "Acknowledge writes to an SQLite store only while the modification time of this file is in the future. A program that starts one instance at a time, such as that of deploy/litestream, moves it forward."},
	})
}
