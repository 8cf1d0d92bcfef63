package main

import "slices"

// definition is a setting: a flag of serve and check-config, and with the same
// name an environment variable and a key of the configuration file. The tables
// below are the only place that names them all; how the text of one is read
// stands in [readConfig], and which text holds in [layer].
type definition struct {
	name       string // as in --name and in the file
	group      string // the heading in the help; none: a flag and nothing else
	takes      string // what stands for the value in the help; none: true or false
	fallback   string // the default, in the form that is read
	help       string
	repeatable bool
	secret     bool // keeps the value from being printed
	empty      bool // an empty environment variable is a value, not the absence of one
	// alternative is another setting that says the same thing in another way. Of the two
	// the one from the higher layer holds; one layer may give only one of them.
	alternative string
}

// env returns the environment variable of the setting.
func (d definition) env() string {
	if d.group == "" {
		return ""
	}
	return variable(d.name)
}

// The groups, in the order of the help.
const (
	groupListen   = "Where it listens"
	groupStore    = "Where counts are kept"
	groupSites    = "What is counted, and for whom"
	groupTrust    = "Who is trusted"
	groupLimits   = "Limits"
	groupDelivery = "Delivery"
	groupProcess  = "Process"
)

// listeners are the settings that say where an instance is found.
var listeners = []definition{
	{name: "listen", group: groupListen, takes: "ADDRESS", fallback: ":8080",
		help: "Address to serve on. PORT is honoured."},
	{name: "internal-listen", group: groupListen, takes: "ADDRESS", fallback: "127.0.0.1:8081", empty: true,
		help: "Address of /metrics, /healthz, /readyz and /debug/pprof/; empty turns it off."},
	{name: "base-path", group: groupListen, takes: "PATH",
		help: "Serve everything below a path such as /tally."},
}

// fileSetting names the configuration file.
var fileSetting = definition{name: "config", group: groupProcess, takes: "FILE",
	help: "YAML file with the same names as the flags of serve."}

// settings are all settings, in the order in which they are shown.
var settings = slices.Concat(listeners, []definition{
	{name: "store", group: groupStore, takes: "URL", fallback: "sqlite:data/tallycast.db",
		help: "Where counts are kept: sqlite:PATH, redis://HOST:PORT/DB, rediss:// (TLS), redis+sentinel://HOST,HOST/MASTER/DB or redis+cluster://HOST,HOST. With ?wait=N a write is acknowledged when N replicas have it; sentinel_user and sentinel_password are for Sentinels with a password of their own. REDIS_URL is honoured."},
	{name: "redis-prefix", group: groupStore, takes: "NAME", fallback: "tally",
		help: "Stands before every key and channel in Redis."},
	{name: "allow-eviction", group: groupStore, fallback: "false",
		help: "Use a Redis whose maxmemory-policy may throw counts away."},
	{name: "secret", group: groupStore, takes: "TEXT", secret: true,
		help: "Key of the visitor hash, 16 bytes or more, the same on all instances. Made at first start and kept in the store if left out."},
	{name: "secret-file", group: groupStore, takes: "FILE", alternative: "secret",
		help: "File that holds it."},
	{name: "journal", group: groupStore, takes: "TIME", fallback: "168h",
		help: "How long it is kept when and from which network, as a hash, a contribution was made, so that a spike can be undone; or off."},

	{name: "site", group: groupSites, takes: "NAME=ORIGIN", fallback: "default", repeatable: true,
		help: "A site and the origins of its pages, such as blog=https://blog.example.com,https://*.example.org. With blog=keys=known visitors may like only what was seeded or made with a token, and with blog=sitemap=https://blog.example.com/sitemap.xml what stands there, too. Repeatable."},
	{name: "allow-origin", group: groupSites, takes: "ORIGIN", repeatable: true,
		help: "An origin whose pages may use the site default; * is any. The service's own origin always may. Repeatable."},
	{name: "metric", group: groupSites, takes: "NAME=RULE", repeatable: true,
		help: "One more metric. Its rule is toggle, amount:50, once, window:30m or presence. Repeatable."},
	{name: "demo", group: groupSites, fallback: "true",
		help: "Serve the live demo page at /; --demo=false turns it off."},
}, seedSettings, []definition{
	{name: "trusted-proxy", group: groupTrust, takes: "CIDR", repeatable: true,
		help: "Proxies that may say who the client is: address ranges, or private. The first of X-Forwarded-For, Forwarded and X-Real-IP that a request has decides. Repeatable."},
	{name: "server-token", group: groupTrust, takes: "TEXT", secret: true,
		help: "Calls with Authorization: Bearer TEXT name their visitor and skip address limits and origin checks. 16 bytes or more."},
	{name: "admin-token", group: groupTrust, takes: "TEXT", secret: true,
		help: "Opens /admin/, where the owner reads and mends the numbers. 16 bytes or more, such as openssl rand -hex 32 makes; without one nothing is there."},
	{name: "admin-token-file", group: groupTrust, takes: "FILE", alternative: "admin-token",
		help: "File that holds it."},

	{name: "rate-limit", group: groupLimits, takes: "RATE", fallback: "20/s",
		help: "Writes that one client address may make, across all instances, in bursts of three times that; or off."},
	{name: "read-limit", group: groupLimits, takes: "RATE", fallback: "500/s",
		help: "Topics that one client address may read or begin to watch, in bursts of three times that; or off."},
	{name: "new-topic-limit", group: groupLimits, takes: "RATE", fallback: "200/h",
		help: "Topics that one client address may bring into being; or off."},
	{name: "max-viewers", group: groupLimits, takes: "N", fallback: "100000",
		help: "Connections that this instance holds; or off."},
	{name: "max-viewers-per-address", group: groupLimits, takes: "N", fallback: "200",
		help: "Of them, from one client address, which may have as many connections (256 at least) that hold no viewer and watch a twentieth of --max-watched-topics; or off."},
	{name: "max-watched-topics", group: groupLimits, takes: "N", fallback: "1000000",
		help: "Distinct topics that this instance's viewers watch; or off."},

	{name: "flush-interval", group: groupDelivery, takes: "TIME", fallback: "50ms",
		help: "Least time between two frames of one topic to one viewer."},
	{name: "write-timeout", group: groupDelivery, takes: "TIME", fallback: "30s",
		help: "A viewer that takes nothing for so long is closed."},

	fileSetting,
	{name: "log-level", group: groupProcess, takes: "LEVEL", fallback: "info",
		help: "debug, info, warn or error."},
	{name: "log-format", group: groupProcess, takes: "FORM", fallback: "auto",
		help: "auto, text or json. auto is text on a terminal."},
	{name: "drain", group: groupProcess, takes: "TIME", fallback: "10s",
		help: "On SIGTERM or SIGHUP, the time over which connections are closed, in random order."},
})
