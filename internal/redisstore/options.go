package redisstore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options are the settings of a store; the zero value is useful.
type Options struct {
	// Prefix stands before every key and channel; "tally" when empty.
	Prefix string
	// Secret is the key of the visitor hash. When empty, the one that the store
	// keeps is taken, and made where there is none.
	Secret []byte
	// AllowEviction permits a Redis that evicts any key when memory is short.
	AllowEviction bool
	// TopEvery is how long changes are gathered before they go to the leaderboards;
	// 1 s when zero. With what writing them takes, Top is behind by that.
	TopEvery time.Duration
	// RootCAs are trusted for rediss://; nil for those of the system.
	RootCAs *x509.CertPool
	// Logger is told of transitions; nil for the default one.
	Logger *slog.Logger
}

const (
	defaultPrefix = "tally"
	// defaultTopEvery makes a storm on a topic one update a second, and keeps Top
	// well within the 2 s that it may be behind.
	defaultTopEvery = time.Second

	// patience is how long anything may wait for Redis that has no deadline of its
	// own. It is below the 3 s in which a request must be answered.
	patience = 2500 * time.Millisecond
	// dialPatience is how long a connection may take. A black hole must leave time
	// for a second attempt.
	dialPatience = 2 * time.Second

	// Connections: a lane has one batch under way at a time, the rest is for reads,
	// which hold one for a round trip. A read beyond them waits for its turn.
	poolSize = 8
	// Bytes of the buffers of a connection, each way. A pipeline of 500 reads or a
	// batch of 500 writes fits.
	bufferBytes = 32 << 10
	// idleFor is how long a connection is kept unused; below what firewalls allow.
	idleFor = 5 * time.Minute
	// retries of a command whose connection broke. Every command may be repeated
	// safely; one that fails three times is a Redis that is away.
	retries = 2
)

// parseURL reads redis:// and rediss:// URLs. Its errors do not repeat the URL,
// which holds a password.
func parseURL(text string, options Options) (*redis.Options, error) {
	u, err := url.Parse(text)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		// The cause quotes the part that it dislikes, such as a port; where that
		// could be a password, it is left out.
		if strings.Contains(text, "@") {
			return nil, errors.New("the URL of the Redis store cannot be read; it is redis://user:password@host:port/database, with special characters of the password percent-encoded")
		}
		return nil, fmt.Errorf("the URL of the Redis store cannot be read: %w", err)
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, fmt.Errorf("the scheme %s: is no Redis that this store speaks to; it is redis:// or rediss://", u.Scheme)
	}
	for name := range u.Query() {
		if known := []string{"db", "skip_verify"}; !slices.Contains(known, name) {
			return nil, fmt.Errorf("the URL of the Redis store has an unknown setting %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	settings, err := redis.ParseURL(text)
	if err != nil {
		return nil, fmt.Errorf("the URL of the Redis store: %w", err)
	}
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
	return settings, nil
}
