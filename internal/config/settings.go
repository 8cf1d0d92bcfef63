package config

import (
	"slices"

	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

// Setting declares one setting: a flag and, with the same name, an environment variable
// and a key of the configuration file. [Settings] is the only list of all of them;
// [Parse] parses their values.
type Setting struct {
	Name       string // as in --name and in the file
	Group      string // the heading in the help; empty: a flag of one command, without variable and key
	Value      string // placeholder for the value in the help; empty: true or false
	Default    string // in the form that is parsed
	Help       string
	Repeatable bool
	Secret     bool // the value is never printed
	Empty      bool // an empty environment variable is a value, not the absence of one
	// Alternative names another setting for the same thing. Of the two the one from the
	// higher layer applies; one layer may give only one of them.
	Alternative string
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

// ListenSettings are the settings that say where an instance can be reached.
var ListenSettings = []Setting{
	{Name: "listen", Group: groupListen, Value: "ADDRESS", Default: ":8080",
		Help: "Address to serve on. If nothing else is given, the PORT of a hosting platform is used."},
	{Name: "internal-listen", Group: groupListen, Value: "ADDRESS", Default: "127.0.0.1:8081", Empty: true,
		Help: "Address of /metrics, /healthz, /readyz and /debug/pprof/; empty turns it off."},
	{Name: "base-path", Group: groupListen, Value: "PATH",
		Help: "Serve everything below a path such as /tally."},
}

// FileSetting names the configuration file.
var FileSetting = Setting{Name: "config", Group: groupProcess, Value: "FILE",
	Help: "YAML file with the same names as the flags of serve."}

// Help texts that serve --seed-… and the command seed share.
const (
	SeedFieldHelp       = "Which field holds the seed of which metric. A dot selects a field within a field: claps=params.applause. Repeatable."
	SeedKeyFromHelp     = "Where a page's key comes from: path, slug, permalink, hugo (or hugo@0.111), jekyll, astro or the name of a field. A generator's rules are applied with the settings of the site around the folder."
	SeedStripPrefixHelp = "Remove this from the beginning of keys, such as posts."
	SeedAddPrefixHelp   = "Put this before keys, such as blog."
)

// Settings are all settings of serve, in the order of the help.
var Settings = slices.Concat(ListenSettings, []Setting{
	{Name: "store", Group: GroupStore, Value: "URL", Default: "sqlite:data/tallycast.db",
		Help: "Where counts are stored: sqlite:PATH, redis://HOST:PORT/DB, rediss:// (TLS), redis+sentinel://HOST,HOST/PRIMARY/DB or redis+cluster://HOST,HOST. With ?wait=N a write is acknowledged once N replicas have it; sentinel_user and sentinel_password are for Sentinels with a password of their own. If nothing else is given, the REDIS_URL of a hosting platform is used."},
	{Name: "redis-prefix", Group: GroupStore, Value: "NAME", Default: "tally",
		Help: "Prefix of every key and channel in Redis."},
	{Name: "allow-eviction", Group: GroupStore, Default: "false",
		Help: "Accept a Redis whose maxmemory-policy may delete counts."},
	{Name: "secret", Group: GroupStore, Value: "TEXT", Secret: true,
		Help: "Key of the visitor hash, 16 bytes or more, the same on all instances. If left out, it is generated at the first start and kept in the store."},
	{Name: "secret-file", Group: GroupStore, Value: "FILE", Alternative: "secret",
		Help: "File that holds the secret."},
	{Name: "journal", Group: GroupStore, Value: "TIME", Default: "168h",
		Help: "How long the time and the network (as a hash) of each contribution are kept, so that a spike can be undone; or off."},

	{Name: "site", Group: groupSites, Value: "NAME=ORIGIN", Default: "default", Repeatable: true,
		Help: "A site and the origins of its pages, such as blog=https://blog.example.com,https://*.example.org. With blog=keys=known visitors can only contribute to keys that were seeded or created with a token; blog=sitemap=https://blog.example.com/sitemap.xml adds the pages of a sitemap. Repeatable."},
	{Name: "allow-origin", Group: groupSites, Value: "ORIGIN", Repeatable: true,
		Help: "An origin whose pages may use the site default; * is any. The service's own origin is always allowed. Repeatable."},
	{Name: "metric", Group: groupSites, Value: "NAME=RULE", Repeatable: true,
		Help: "Another metric. Its rule is toggle, amount:50, once, window:30m or presence. Repeatable."},
	{Name: "demo", Group: groupSites, Default: "true",
		Help: "Serve the live demo page at /; --demo=false turns it off."},
	{Name: "seed-from", Group: groupSites, Value: "PATH", Repeatable: true,
		Help: "A folder of pages whose frontmatter gives the initial counts, or a table or document of them. It is read before the first request is answered, and watched for changes. Repeatable."},
	{Name: "seed-field", Group: groupSites, Value: "METRIC=FIELD", Default: "likes=likes", Repeatable: true, Help: SeedFieldHelp},
	{Name: "seed-site", Group: groupSites, Value: "NAME", Default: tally.DefaultSite, Help: "The site of the seeded topics."},
	{Name: "seed-key-from", Group: groupSites, Value: "WORD", Default: seed.FromPath, Help: SeedKeyFromHelp},
	{Name: "seed-strip-prefix", Group: groupSites, Value: "PATH", Help: SeedStripPrefixHelp},
	{Name: "seed-add-prefix", Group: groupSites, Value: "PATH", Help: SeedAddPrefixHelp},

	{Name: "trusted-proxy", Group: groupTrust, Value: "CIDR", Repeatable: true,
		Help: "Proxies that are trusted to name the client's address: address ranges, or private. The first of X-Forwarded-For, Forwarded and X-Real-IP that a request has is used. Repeatable."},
	{Name: "server-token", Group: groupTrust, Value: "TEXT", Secret: true,
		Help: "Requests with Authorization: Bearer TEXT name their visitor and skip address limits and origin checks. 16 bytes or more."},
	{Name: "admin-token", Group: groupTrust, Value: "TEXT", Secret: true,
		Help: "Opens /admin/, where the owner reads and changes counts. 16 bytes or more, such as openssl rand -hex 32 prints. Without a token /admin/ is off."},
	{Name: "admin-token-file", Group: groupTrust, Value: "FILE", Alternative: "admin-token",
		Help: "File that holds the admin token."},

	{Name: "rate-limit", Group: groupLimits, Value: "RATE", Default: "20/s",
		Help: "Maximum writes from one client address, across all instances, in bursts of up to three times that; or off."},
	{Name: "read-limit", Group: groupLimits, Value: "RATE", Default: "500/s",
		Help: "Maximum topics that one client address may read or subscribe to, on each instance, in bursts of up to three times that; or off."},
	{Name: "new-topic-limit", Group: groupLimits, Value: "RATE", Default: "200/h",
		Help: "Maximum topics that one client address may create, across all instances; or off."},
	{Name: "max-viewers", Group: groupLimits, Value: "N", Default: "100000",
		Help: "Maximum viewers of this instance; or off."},
	{Name: "max-viewers-per-address", Group: groupLimits, Value: "N", Default: "200",
		Help: "Maximum viewers from one client address; or off. An address may have as many other connections (256 at least), and its viewers may watch a twentieth of --max-watched-topics."},
	{Name: "max-watched-topics", Group: groupLimits, Value: "N", Default: "1000000",
		Help: "Maximum distinct topics that the viewers of this instance watch; or off."},

	{Name: "flush-interval", Group: groupDelivery, Value: "TIME", Default: "50ms",
		Help: "Minimum time between two frames of one topic to one viewer."},
	{Name: "write-timeout", Group: groupDelivery, Value: "TIME", Default: "30s",
		Help: "Close a viewer that accepts no data for this long."},

	FileSetting,
	{Name: "log-level", Group: groupProcess, Value: "LEVEL", Default: "info",
		Help: "debug, info, warn or error."},
	{Name: "log-format", Group: groupProcess, Value: "FORM", Default: "auto",
		Help: "auto, text or json. auto is text on a terminal, json elsewhere."},
	{Name: "drain", Group: groupProcess, Value: "TIME", Default: "10s",
		Help: "On SIGTERM or SIGHUP, the time over which viewers are disconnected, in random order."},
})
