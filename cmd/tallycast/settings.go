package main

// settings are the flags of serve and check-config, and with the same names the
// environment variables and the keys of the configuration file. Nothing here is
// read yet: a nil field was not given as a flag. What a setting falls back to
// stands in its tag "fallback", since all layers have to be known first.
//
// Tags of our own: fallback is the default, in the form that the setting reads;
// secret keeps the value from being printed; empty says that an empty
// environment variable is a value, and not the absence of one.
type settings struct {
	listeners

	Store         *string `group:"store" placeholder:"URL" fallback:"sqlite:data/tallycast.db" help:"Where counts are kept: sqlite:PATH, redis://HOST:PORT/DB or rediss:// (TLS). REDIS_URL is honoured."`
	RedisPrefix   *string `group:"store" placeholder:"NAME" fallback:"tally" help:"Stands before every key and channel in Redis."`
	AllowEviction *bool   `group:"store" fallback:"false" help:"Use a Redis whose maxmemory-policy may throw counts away."`
	Secret        *string `group:"store" placeholder:"TEXT" secret:"" help:"Key of the visitor hash, 16 bytes or more, the same on all instances. Made at first start and kept in the store if left out."`
	SecretFile    *string `group:"store" placeholder:"FILE" help:"File that holds it."`

	Site        []string `group:"sites" sep:"none" placeholder:"NAME=ORIGIN" fallback:"default" help:"A site and the origins of its pages, such as blog=https://blog.example.com,https://*.example.org. Repeatable."`
	AllowOrigin []string `group:"sites" sep:"none" placeholder:"ORIGIN" help:"An origin whose pages may use the site default; * is any. The service's own origin always may. Repeatable."`
	Metric      []string `group:"sites" sep:"none" placeholder:"NAME=RULE" help:"One more metric. Its rule is toggle, amount:50, once, window:30m or presence. Repeatable."`
	Demo        *bool    `group:"sites" fallback:"true" help:"Serve the live demo page at /; --demo=false turns it off."`

	TrustedProxy []string `group:"trust" sep:"none" placeholder:"CIDR" help:"Proxies that may say who the client is (X-Forwarded-For): address ranges, or private. Repeatable."`
	ServerToken  *string  `group:"trust" placeholder:"TEXT" secret:"" help:"Calls with Authorization: Bearer TEXT name their visitor and skip address limits and origin checks. 16 bytes or more."`

	RateLimit            *string `group:"limits" placeholder:"RATE" fallback:"20/s" help:"Writes that one client address may make, across all instances, in bursts of three times that; or off."`
	ReadLimit            *string `group:"limits" placeholder:"RATE" fallback:"500/s" help:"Topics that one client address may read or begin to watch, in bursts of three times that; or off."`
	NewTopicLimit        *string `group:"limits" placeholder:"RATE" fallback:"200/h" help:"Topics that one client address may bring into being; or off."`
	MaxViewers           *string `group:"limits" placeholder:"N" fallback:"100000" help:"Connections that this instance holds; or off."`
	MaxViewersPerAddress *string `group:"limits" placeholder:"N" fallback:"200" help:"Of them, from one client address; or off."`
	MaxWatchedTopics     *string `group:"limits" placeholder:"N" fallback:"1000000" help:"Distinct topics that this instance's viewers watch; or off."`

	FlushInterval *string `group:"delivery" placeholder:"TIME" fallback:"50ms" help:"Least time between two frames of one topic to one viewer."`
	WriteTimeout  *string `group:"delivery" placeholder:"TIME" fallback:"30s" help:"A viewer that takes nothing for so long is closed."`

	Config    *string `group:"process" placeholder:"FILE" help:"YAML file with the same names as these flags."`
	LogLevel  *string `group:"process" placeholder:"LEVEL" fallback:"info" help:"debug, info, warn or error."`
	LogFormat *string `group:"process" placeholder:"FORM" fallback:"auto" help:"auto, text or json. auto is text on a terminal."`
	Drain     *string `group:"process" placeholder:"TIME" fallback:"10s" help:"On SIGTERM, the time over which connections are closed, in random order."`
}

// listeners are the settings that healthcheck needs too, to find the service.
type listeners struct {
	Listen         *string `group:"listen" placeholder:"ADDRESS" fallback:":8080" help:"Address to serve on. PORT is honoured."`
	InternalListen *string `group:"listen" placeholder:"ADDRESS" fallback:"127.0.0.1:8081" empty:"" help:"Address of /metrics, /healthz, /readyz and /debug/pprof/; empty turns it off."`
	BasePath       *string `group:"listen" placeholder:"PATH" help:"Serve everything below a path such as /tally."`
}
