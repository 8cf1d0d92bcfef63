package redistopology

import (
	"crypto/x509"
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

// mode is how the Redis at a URL is organised.
type mode uint8

const (
	standalone mode = iota
	sentinel
	cluster
)

// storeURL is a parsed URL of a store.
type storeURL struct {
	mode     mode
	addrs    []string // host:port of the Redis, of the Sentinels, or of cluster nodes
	primary  string   // for sentinel, the name of the primary
	replicas int      // wait=N: how many replicas confirm a write
	settings redis.Options
	// sentinelLogin is what the URL has for Sentinels; zero without any.
	sentinelLogin credentials
}

// credentials are a user, its password, and the place in the URL, for messages.
type credentials struct {
	user, password string
	place          string
}

// String names the user and the place of the password, not the password.
func (c credentials) String() string {
	if c.password == "" {
		return "no password"
	}
	user := c.user
	if user == "" {
		user = "default"
	}
	return fmt.Sprintf("the user %q with the password %s", user, c.place)
}

// redisLogin returns the credentials for Redis itself.
func (s *storeURL) redisLogin() credentials {
	return credentials{s.settings.Username, s.settings.Password, "in front of the @ of the URL"}
}

// sentinelLogins returns the credentials to try at a Sentinel, in this order: those that
// the URL has for it, or else none and then those for Redis.
func (s *storeURL) sentinelLogins() []credentials {
	switch {
	case s.sentinelLogin.password != "":
		return []credentials{s.sentinelLogin}
	case s.settings.Password != "":
		return []credentials{{}, s.redisLogin()}
	}
	return []credentials{{}}
}

func (s *storeURL) String() string {
	addrs := strings.Join(s.addrs, ",")
	switch s.mode {
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
	// maxReplicas bounds wait=N; no Redis has as many.
	maxReplicas = 100
)

// urlForms are examples of URLs, for messages.
var urlForms = map[mode]string{
	standalone: "redis://user:password@host:port/database",
	sentinel:   "redis+sentinel://user:password@host:port,host:port/primary/database",
	cluster:    "redis+cluster://user:password@host:port,host:port",
}

// parseURL parses the URL of a store. Its errors do not contain the URL, which may have a
// password.
func parseURL(text string, rootCAs *x509.CertPool) (storeURL, error) {
	s := storeURL{}
	scheme, rest, ok := strings.Cut(text, "://")
	protocol, kind, _ := strings.Cut(scheme, "+")
	switch kind {
	case "sentinel":
		s.mode = sentinel
	case "cluster":
		s.mode = cluster
	}
	if !ok || protocol != "redis" && protocol != "rediss" || kind != "" && s.mode == standalone {
		if !ok {
			scheme = ""
		}
		return storeURL{}, fmt.Errorf("the URL of the Redis store has the scheme %q; expected redis, rediss, redis+sentinel or redis+cluster", scheme)
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
	// The library parses URLs of one host: it gets the first.
	first, err := s.hosts(hosts)
	if err != nil {
		return storeURL{}, err
	}
	if strings.Contains(path, "#") && strings.Contains(path, "sentinel_") {
		return storeURL{}, errors.New("the URL of the Redis store has a # in its settings; in a password it is written %23")
	}
	u, err := url.Parse(protocol + "://" + user + first + path)
	if err != nil {
		return storeURL{}, unreadable(err, s.mode, strings.Contains(rest, "@"))
	}
	if err := s.path(u); err != nil {
		return storeURL{}, err
	}
	if err := s.query(u); err != nil {
		return storeURL{}, err
	}
	settings, err := redis.ParseURL(u.String())
	if err != nil {
		return storeURL{}, fmt.Errorf("the URL of the Redis store: %w", err)
	}
	if s.mode == standalone {
		s.addrs = []string{settings.Addr}
	} else if settings.TLSConfig != nil {
		settings.TLSConfig.ServerName = "" // each connection sets its own
	}
	tune(settings, rootCAs)
	s.settings = *settings
	return s, nil
}

func unreadable(err error, mode mode, hasPassword bool) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err
	}
	if hasPassword { // the cause quotes a part of the URL that may be a password
		return fmt.Errorf("the URL of the Redis store cannot be read; it is %s, with special characters of the password percent-encoded", urlForms[mode])
	}
	return fmt.Errorf("the URL of the Redis store cannot be read: %w", err)
}

// hosts parses the list of hosts and returns the first one unchanged.
func (s *storeURL) hosts(list string) (first string, err error) {
	each := strings.Split(list, ",")
	if s.mode == standalone {
		if len(each) > 1 {
			return "", fmt.Errorf("the URL of the Redis store names several hosts; then it is %s or %s", urlForms[sentinel], urlForms[cluster])
		}
		return list, nil
	}
	port := redisPort
	if s.mode == sentinel {
		port = sentinelPort
	}
	for _, host := range each {
		name, number, err := net.SplitHostPort(host)
		if err != nil {
			name, number = strings.Trim(host, "[]"), port
		}
		if n, err := strconv.Atoi(number); name == "" || strings.ContainsAny(name, " %") || err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("the URL of the Redis store has a host that cannot be read; it is %s", urlForms[s.mode])
		}
		if addr := net.JoinHostPort(name, number); !slices.Contains(s.addrs, addr) {
			s.addrs = append(s.addrs, addr)
		}
	}
	return s.addrs[0], nil
}

// path removes from u the parts of the path that the library does not know.
func (s *storeURL) path(u *url.URL) error {
	switch s.mode {
	case sentinel:
		primary, database, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
		if primary == "" {
			return fmt.Errorf("the URL of the Redis store lacks the name under which the Sentinels monitor the primary; it is %s", urlForms[sentinel])
		}
		s.primary = primary
		u.Path, u.RawPath = "/"+database, ""
	case cluster:
		if database := strings.Trim(u.Path, "/"); database != "" && database != "0" {
			return errors.New("the URL of the Redis store names a database, but a Cluster has none but 0")
		}
		u.Path, u.RawPath = "", ""
	}
	return nil
}

// query removes from u the settings that the library does not know.
func (s *storeURL) query(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil { // it quotes a part that may be a password
		return errors.New("the URL of the Redis store has settings that cannot be read; special characters in them are percent-encoded")
	}
	for name := range query {
		known := []string{"db", "sentinel_password", "sentinel_user", "skip_verify", "tls", "wait"}
		switch {
		case slices.Contains(known, name):
		case query.Has("sentinel_password"): // the name may be a part of the password
			return fmt.Errorf("the URL of the Redis store has an unknown setting; known are %s, and an & in a password is written %%26", strings.Join(known, ", "))
		default:
			return fmt.Errorf("the URL of the Redis store has an unknown setting %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	if err := s.sentinelQuery(query); err != nil {
		return err
	}
	if text := query.Get("wait"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxReplicas {
			return fmt.Errorf("the URL of the Redis store: wait=%s should be how many replicas confirm a write, 0 to %d", text, maxReplicas)
		}
		s.replicas = n
	}
	switch text := query.Get("tls"); text {
	case "", "false":
	case "true":
		u.Scheme = "rediss"
	default:
		return fmt.Errorf("the URL of the Redis store: tls=%s should be true or false", text)
	}
	if db := query.Get("db"); s.mode == cluster && db != "" && db != "0" {
		return errors.New("the URL of the Redis store names a database, but a Cluster has none but 0")
	}
	query.Del("wait")
	query.Del("tls")
	u.RawQuery = query.Encode()
	return nil
}

// sentinelQuery removes from query the credentials for Sentinels.
func (s *storeURL) sentinelQuery(query url.Values) error {
	s.sentinelLogin = credentials{query.Get("sentinel_user"), query.Get("sentinel_password"), "of sentinel_password"}
	switch {
	case (query.Has("sentinel_user") || query.Has("sentinel_password")) && s.mode != sentinel:
		return fmt.Errorf("the URL of the Redis store has credentials for Sentinels and names none; with Sentinels it is %s", urlForms[sentinel])
	case s.sentinelLogin.user != "" && s.sentinelLogin.password == "":
		return errors.New("the URL of the Redis store has a sentinel_user and no sentinel_password")
	}
	query.Del("sentinel_user")
	query.Del("sentinel_password")
	return nil
}

// tune sets the options that the URL does not decide.
func tune(settings *redis.Options, rootCAs *x509.CertPool) {
	settings.ContextTimeoutEnabled = true
	settings.DialTimeout = dialTimeout
	settings.DialerRetries = 1
	settings.ReadTimeout = Timeout
	settings.WriteTimeout = Timeout
	settings.PoolTimeout = Timeout
	settings.PoolSize = poolSize
	settings.MaxActiveConns = poolSize
	settings.PipelinePoolSize = -1 // one pool: nearly everything is a pipeline
	settings.ReadBufferSize = bufferBytes
	settings.WriteBufferSize = bufferBytes
	settings.ConnMaxIdleTime = idleTimeout
	settings.MaxRetries = maxRetries
	settings.MaxRetryBackoff = 100 * time.Millisecond // several fit in a request's time
	settings.DisableIdentity = true
	settings.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if settings.TLSConfig != nil {
		settings.TLSConfig.RootCAs = rootCAs
	}
}
