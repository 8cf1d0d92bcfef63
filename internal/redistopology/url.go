package redistopology

import (
	"cmp"
	"crypto/tls"
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

// mode is the deployment of the Redis at a URL.
type mode uint8

const (
	standalone mode = iota
	sentinel
	cluster
)

// modes are the schemes of URLs without TLS.
var modes = map[string]mode{"redis": standalone, "redis+sentinel": sentinel, "redis+cluster": cluster}

// urlForms are examples of URLs, for messages.
var urlForms = map[mode]string{
	standalone: "redis://user:password@host:port/database",
	sentinel:   "redis+sentinel://user:password@host:port,host:port/primary/database",
	cluster:    "redis+cluster://user:password@host:port,host:port",
}

// storeURL is a parsed URL of a store.
type storeURL struct {
	mode     mode
	addrs    []string // host:port of the Redis, of the Sentinels, or of cluster nodes
	primary  string   // for sentinel, the name of the primary
	replicas int      // wait=N: how many replicas confirm a write
	settings redis.Options
	// sentinelLogin has the URL's credentials for Sentinels; zero if there are none.
	sentinelLogin credentials
}

// credentials are a user and its password.
type credentials struct {
	user, password string
	place          string // in the URL, for messages
}

// String names the user and the place of the password, not the password.
func (c credentials) String() string {
	if c.password == "" {
		return "no password"
	}
	return fmt.Sprintf("the user %q with the password %s", cmp.Or(c.user, "default"), c.place)
}

// redisLogin returns the credentials for Redis itself.
func (s *storeURL) redisLogin() credentials {
	return credentials{s.settings.Username, s.settings.Password, "in front of the @ of the URL"}
}

// sourceLogins returns the credentials to try, in order: at a node of a Cluster those for Redis;
// at a Sentinel those for Sentinels or, if the URL has none, no credentials and then those for
// Redis.
func (s *storeURL) sourceLogins() []credentials {
	switch {
	case s.mode == cluster:
		return []credentials{s.redisLogin()}
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

// settingsFor returns the settings of a client for the Redis at addr.
func (s *storeURL) settingsFor(addr string) *redis.Options {
	settings := s.settings
	settings.Addr = addr
	if settings.TLSConfig != nil {
		settings.TLSConfig = settings.TLSConfig.Clone()
	}
	return &settings
}

const (
	redisPort    = "6379"
	sentinelPort = "26379"
	// maxReplicas bounds wait=N. No Redis has so many.
	maxReplicas = 100
)

// parseURL parses the URL of a store. Its errors do not contain the URL, which may have a
// password.
func parseURL(text string, rootCAs *x509.CertPool, timeout time.Duration) (storeURL, error) {
	s := storeURL{settings: redis.Options{
		ContextTimeoutEnabled:    true,
		DialTimeout:              timeout * 4 / 5, // by default it leaves time to resend a lost packet once
		DialerRetries:            1,
		ReadTimeout:              timeout,
		WriteTimeout:             timeout,
		PoolTimeout:              timeout,
		PoolSize:                 poolSize,
		MaxActiveConns:           poolSize,
		PipelinePoolSize:         -1, // one pool: nearly everything is a pipeline
		ReadBufferSize:           bufferBytes,
		WriteBufferSize:          bufferBytes,
		ConnMaxIdleTime:          idleTimeout,
		MaxRetries:               maxRetries,
		MaxRetryBackoff:          100 * time.Millisecond, // several fit in a request's time
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}}
	if err := s.parse(text, rootCAs); err != nil {
		return storeURL{}, fmt.Errorf("the URL of the Redis store %w", err)
	}
	return s, nil
}

func (s *storeURL) parse(text string, rootCAs *x509.CertPool) (err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme = ""
	}
	plain := strings.Replace(scheme, "rediss", "redis", 1)
	if s.mode, ok = modes[plain]; !ok {
		return fmt.Errorf("has the scheme %q; expected redis, rediss, redis+sentinel or redis+cluster", scheme)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts := strings.LastIndex(rest[:end], "@") + 1 // url.Parse knows no list of hosts
	if s.addrs, err = parseHosts(rest[hosts:end], s.mode); err != nil {
		return err
	}
	u, err := url.Parse("redis://" + rest[:hosts] + "host" + rest[end:])
	if err != nil { // it quotes a part that may be a password
		return fmt.Errorf("cannot be read; expected %s, with special characters of the password percent-encoded", urlForms[s.mode])
	}
	if strings.Contains(u.RawQuery, "sentinel_") && u.Fragment != "" {
		return errors.New("has a # in its settings; in a password, write %23")
	}
	s.settings.Username = u.User.Username()
	s.settings.Password, _ = u.User.Password()
	query, err := parseQuery(u.RawQuery)
	if err != nil {
		return err
	}
	if err := s.parseDatabase(u.Path, query.Get("db")); err != nil {
		return err
	}
	return s.parseSettings(query, plain != scheme, rootCAs)
}

// parseHosts returns host:port of each host of a list, without duplicates.
func parseHosts(list string, mode mode) (addrs []string, err error) {
	hosts := strings.Split(list, ",")
	port := redisPort
	switch {
	case mode == sentinel:
		port = sentinelPort
	case mode == standalone && len(hosts) > 1:
		return nil, fmt.Errorf("names several hosts; expected %s or %s", urlForms[sentinel], urlForms[cluster])
	case list == "" && mode == standalone:
		hosts[0] = "localhost"
	}
	for _, host := range hosts {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("has a host that cannot be read; expected %s", urlForms[mode])
		}
		port := cmp.Or(u.Port(), port)
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("has an invalid port; expected %s", urlForms[mode])
		}
		if addr := net.JoinHostPort(u.Hostname(), port); !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func parseQuery(text string) (url.Values, error) {
	query, err := url.ParseQuery(text)
	if err != nil { // it quotes a part that may be a password
		return nil, errors.New("has settings that cannot be read; special characters in them are percent-encoded")
	}
	known := []string{"db", "sentinel_password", "sentinel_user", "skip_verify", "tls", "wait"}
	for name := range query {
		switch {
		case slices.Contains(known, name):
		case query.Has("sentinel_password"): // the name may be a part of the password
			return nil, fmt.Errorf("has an unknown setting; known are %s; in a password, write %%26 for &", strings.Join(known, ", "))
		default:
			return nil, fmt.Errorf("has an unknown setting %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	return query, nil
}

// parseDatabase parses the path: for Sentinels the name of the primary, then the database.
func (s *storeURL) parseDatabase(path, setting string) (err error) {
	words := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if s.mode == sentinel {
		if len(words) == 0 {
			return fmt.Errorf("lacks the name under which the Sentinels monitor the primary; expected %s", urlForms[sentinel])
		}
		s.primary, words = words[0], words[1:]
	}
	words = append(words, "0")
	if s.settings.DB, err = strconv.Atoi(cmp.Or(setting, words[0])); err != nil || s.settings.DB < 0 || len(words) > 2 {
		return fmt.Errorf("has a database that is not a number; expected %s", urlForms[s.mode])
	}
	if s.mode == cluster && s.settings.DB != 0 {
		return errors.New("names a database; a Cluster has only the database 0")
	}
	return nil
}

// parseSettings parses the settings except the database.
func (s *storeURL) parseSettings(query url.Values, withTLS bool, rootCAs *x509.CertPool) (err error) {
	s.sentinelLogin = credentials{query.Get("sentinel_user"), query.Get("sentinel_password"), "of sentinel_password"}
	if s.mode != sentinel && (query.Has("sentinel_user") || query.Has("sentinel_password")) {
		return fmt.Errorf("has credentials for Sentinels, but no Sentinels; expected %s", urlForms[sentinel])
	}
	if s.sentinelLogin.user != "" && s.sentinelLogin.password == "" {
		return errors.New("has a sentinel_user and no sentinel_password")
	}
	s.replicas, err = strconv.Atoi(cmp.Or(query.Get("wait"), "0"))
	if err != nil || s.replicas < 0 || s.replicas > maxReplicas {
		return fmt.Errorf("has a wrong setting: wait=%s should be how many replicas confirm a write, 0 to %d", query.Get("wait"), maxReplicas)
	}
	setting, err1 := strconv.ParseBool(cmp.Or(query.Get("tls"), "false"))
	skipVerify, err2 := strconv.ParseBool(cmp.Or(query.Get("skip_verify"), "false"))
	if err1 != nil || err2 != nil {
		return errors.New("has a tls or skip_verify that is neither true nor false")
	}
	if withTLS || setting {
		s.settings.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: skipVerify, RootCAs: rootCAs}
	}
	return nil
}
