package redisstore

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/redis/go-redis/v9"
)

// node is one Redis that holds slots: the only one there is, the primary that the
// Sentinels name, or a primary of a Cluster. A primary that is replaced becomes a
// node that is gone; its successor is another.
type node struct {
	// Fixed after newNode.
	store    *Store
	addr     string // host:port; names the lane
	settings *redis.Options
	client   *redis.Client
	begun    time.Time

	clock  clock
	status status
	feed   *feed
	// suspected holds a token where the node's rights are to be checked soon.
	suspected chan struct{}
}

func (s *Store) newNode(addr string) *node {
	settings := s.target.settings
	settings.Addr = addr
	if settings.TLSConfig != nil {
		settings.TLSConfig = settings.TLSConfig.Clone()
	}
	n := &node{
		store:     s,
		addr:      addr,
		settings:  &settings,
		begun:     time.Now(),
		status:    newStatus(s.options.Logger.With("store", addr)),
		feed:      newFeed(),
		suspected: make(chan struct{}, 1),
	}
	settings.OnConnect = n.greetConnection
	n.client = redis.NewClient(&settings)
	return n
}

// plainClient returns a client for questions about who holds what: it does not
// greet, and asks one thing at a time.
func (s *Store) plainClient(addr string) *redis.Client {
	settings := s.target.settings
	settings.Addr = addr
	if settings.TLSConfig != nil {
		settings.TLSConfig = settings.TLSConfig.Clone()
	}
	settings.PoolSize, settings.MaxActiveConns = 1, 1
	settings.MaxRetries = -1
	return redis.NewClient(&settings)
}

// sentinelClient returns a client for a Sentinel that offers it credentials.
func (s *Store) sentinelClient(addr string, with credentials) *redis.SentinelClient {
	settings := s.target.settings
	settings.Addr = addr
	settings.DB = 0
	settings.Username, settings.Password = with.user, with.password
	var encrypted *tls.Config
	if settings.TLSConfig != nil {
		encrypted = settings.TLSConfig.Clone()
	}
	settings.TLSConfig = encrypted
	settings.PoolSize, settings.MaxActiveConns = 1, 1
	settings.MaxRetries = -1
	return redis.NewSentinelClient(&settings)
}

// close ends the node's connections; what waits on them fails at once.
func (n *node) close() { _ = n.client.Close() }

// do runs one command about key at the node that holds it, and follows where it is
// sent.
func (s *Store) do(ctx context.Context, key string, command redis.Cmder) error {
	r := request{key: key, commands: []redis.Cmder{command}}
	s.send(ctx, []request{r}, nil)
	return command.Err()
}
