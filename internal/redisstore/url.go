package redisstore

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// shape is how the Redis at a URL is made up.
type shape uint8

const (
	standalone shape = iota
	sentinel
	cluster
)

// target is what a URL says.
type target struct {
	shape    shape
	addrs    []string // host:port of the Redis, of Sentinels, or of nodes of a Cluster
	master   string   // for sentinel, the name of the primary
	wait     int      // how many replicas confirm a write before it is acknowledged
	settings redis.Options
	// watcher is what Sentinels are offered, of the settings of the URL; zero: nothing of
	// their own.
	watcher credentials
}

// credentials are a user and its password, and where the URL has them, for messages.
type credentials struct {
	user, password string
	where          string
}

// String names credentials without the password.
func (c credentials) String() string {
	if c.password == "" {
		return "no password"
	}
	user := c.user
	if user == "" {
		user = "default"
	}
	return fmt.Sprintf("the user %q with the password %s", user, c.where)
}

// own are the credentials for Redis itself.
func (t *target) own() credentials {
	return credentials{t.settings.Username, t.settings.Password, "in front of the @ of the URL"}
}

// forSentinels returns what a Sentinel is offered, one after the other: what the URL has
// for it, or else nothing and then what the URL has for Redis.
func (t *target) forSentinels() []credentials {
	switch {
	case t.watcher.password != "":
		return []credentials{t.watcher}
	case t.settings.Password != "":
		return []credentials{{}, t.own()}
	}
	return []credentials{{}}
}

func (t *target) String() string {
	addrs := strings.Join(t.addrs, ",")
	switch t.shape {
	case sentinel:
		return "redis of the Sentinels at " + addrs
	case cluster:
		return "redis cluster at " + addrs
	}
	return "redis at " + addrs
}

const (
	redisPort    = "6379"
	sentinelPort = "26379"
	// mostReplicas bounds wait=N: nobody has so many.
	mostReplicas = 100
)

// forms shows what a URL is to look like.
var forms = map[shape]string{
	standalone: "redis://user:password@host:port/database",
	sentinel:   "redis+sentinel://user:password@host:port,host:port/primary/database",
	cluster:    "redis+cluster://user:password@host:port,host:port",
}

// parseURL reads the URL of a store. Its errors do not repeat the URL, which holds
// a password.
func parseURL(text string, options Options) (target, error) {
	t := target{}
	scheme, rest, ok := strings.Cut(text, "://")
	protocol, kind, _ := strings.Cut(scheme, "+")
	switch kind {
	case "sentinel":
		t.shape = sentinel
	case "cluster":
		t.shape = cluster
	}
	if !ok || protocol != "redis" && protocol != "rediss" || kind != "" && t.shape == standalone {
		if !ok {
			scheme = "of the URL"
		}
		return target{}, fmt.Errorf("the scheme %s: is no Redis that this store speaks to; it is redis://, rediss://, redis+sentinel:// or redis+cluster://", scheme)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	user, hosts := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	// The library reads URLs of one host; of the others the form is the same.
	first, err := t.hosts(hosts)
	if err != nil {
		return target{}, err
	}
	if strings.Contains(path, "#") && strings.Contains(path, "sentinel_") {
		return target{}, errors.New("the URL of the Redis store has a # in its settings; in a password it is written %23")
	}
	u, err := url.Parse(protocol + "://" + user + first + path)
	if err != nil {
		return target{}, unreadable(err, t.shape, strings.Contains(rest, "@"))
	}
	if err := t.path(u); err != nil {
		return target{}, err
	}
	if err := t.query(u); err != nil {
		return target{}, err
	}
	settings, err := redis.ParseURL(u.String())
	if err != nil {
		return target{}, fmt.Errorf("the URL of the Redis store: %w", err)
	}
	if t.shape == standalone {
		t.addrs = []string{settings.Addr}
	} else if settings.TLSConfig != nil {
		settings.TLSConfig.ServerName = "" // that of whom one connects to
	}
	tune(settings, options)
	t.settings = *settings
	return t, nil
}

func unreadable(err error, shape shape, secret bool) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err
	}
	// The cause quotes the part that it dislikes, such as a port; where that
	// could be a password, it is left out.
	if secret {
		return fmt.Errorf("the URL of the Redis store cannot be read; it is %s, with special characters of the password percent-encoded", forms[shape])
	}
	return fmt.Errorf("the URL of the Redis store cannot be read: %w", err)
}

// hosts reads the list of hosts and returns the first as it stands.
func (t *target) hosts(list string) (first string, err error) {
	each := strings.Split(list, ",")
	if t.shape == standalone {
		if len(each) > 1 {
			return "", fmt.Errorf("the URL of the Redis store names several hosts; then it is %s or %s", forms[sentinel], forms[cluster])
		}
		return list, nil
	}
	port := redisPort
	if t.shape == sentinel {
		port = sentinelPort
	}
	for _, host := range each {
		name, number, err := net.SplitHostPort(host)
		if err != nil {
			name, number = strings.Trim(host, "[]"), port
		}
		if n, err := strconv.Atoi(number); name == "" || strings.ContainsAny(name, " %") || err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("the URL of the Redis store has a host that cannot be read; it is %s", forms[t.shape])
		}
		if addr := net.JoinHostPort(name, number); !slices.Contains(t.addrs, addr) {
			t.addrs = append(t.addrs, addr)
		}
	}
	return t.addrs[0], nil
}

// path takes from u what stands in the path beside a database.
func (t *target) path(u *url.URL) error {
	switch t.shape {
	case sentinel:
		master, database, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
		if master == "" {
			return fmt.Errorf("the URL of the Redis store lacks the name under which the Sentinels watch the primary; it is %s", forms[sentinel])
		}
		t.master = master
		u.Path, u.RawPath = "/"+database, ""
	case cluster:
		if database := strings.Trim(u.Path, "/"); database != "" && database != "0" {
			return errors.New("the URL of the Redis store names a database, but a Cluster has none but 0")
		}
		u.Path, u.RawPath = "", ""
	}
	return nil
}

// query takes from u the settings that are not the library's.
func (t *target) query(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil { // which quotes what may be a password
		return errors.New("the URL of the Redis store has settings that cannot be read; special characters in them are percent-encoded")
	}
	for name := range query {
		known := []string{"db", "sentinel_password", "sentinel_user", "skip_verify", "tls", "wait"}
		switch {
		case slices.Contains(known, name):
		case query.Has("sentinel_password"): // of which the name may be a part
			return fmt.Errorf("the URL of the Redis store has an unknown setting; known are %s, and an & in a password is written %%26", strings.Join(known, ", "))
		default:
			return fmt.Errorf("the URL of the Redis store has an unknown setting %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	if err := t.sentinelQuery(query); err != nil {
		return err
	}
	if text := query.Get("wait"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > mostReplicas {
			return fmt.Errorf("the URL of the Redis store: wait=%s should be how many replicas confirm a write, 0 to %d", text, mostReplicas)
		}
		t.wait = n
	}
	switch text := query.Get("tls"); text {
	case "", "false":
	case "true":
		u.Scheme = "rediss"
	default:
		return fmt.Errorf("the URL of the Redis store: tls=%s should be true or false", text)
	}
	if db := query.Get("db"); t.shape == cluster && db != "" && db != "0" {
		return errors.New("the URL of the Redis store names a database, but a Cluster has none but 0")
	}
	query.Del("wait")
	query.Del("tls")
	u.RawQuery = query.Encode()
	return nil
}

// sentinelQuery takes what Sentinels are offered.
func (t *target) sentinelQuery(query url.Values) error {
	t.watcher = credentials{query.Get("sentinel_user"), query.Get("sentinel_password"), "of sentinel_password"}
	switch {
	case (query.Has("sentinel_user") || query.Has("sentinel_password")) && t.shape != sentinel:
		return fmt.Errorf("the URL of the Redis store has credentials for Sentinels and names none; with Sentinels it is %s", forms[sentinel])
	case t.watcher.user != "" && t.watcher.password == "":
		return errors.New("the URL of the Redis store has a sentinel_user and no sentinel_password")
	}
	query.Del("sentinel_user")
	query.Del("sentinel_password")
	return nil
}

// tune sets what is ours to choose.
func tune(settings *redis.Options, options Options) {
	settings.ContextTimeoutEnabled = true
	settings.DialTimeout = dialPatience
	settings.DialerRetries = 1
	settings.ReadTimeout = patience
	settings.WriteTimeout = patience
	settings.PoolTimeout = patience
	settings.PoolSize = poolSize
	settings.MaxActiveConns = poolSize
	settings.PipelinePoolSize = -1 // one pool: nearly everything is a pipeline
	settings.ReadBufferSize = bufferBytes
	settings.WriteBufferSize = bufferBytes
	settings.ConnMaxIdleTime = idleFor
	settings.MaxRetries = retries
	settings.MaxRetryBackoff = 100 * time.Millisecond // several fit in a request's time
	settings.DisableIdentity = true
	settings.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if settings.TLSConfig != nil {
		settings.TLSConfig.RootCAs = options.RootCAs
	}
}
