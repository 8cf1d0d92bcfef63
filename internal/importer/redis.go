package importer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// scanCount is how many keys a step of a scan looks at: what Redis does in less than a
// millisecond, during which others wait.
const scanCount = 500

// Redis is a Redis that is read. It is safe for concurrent use.
type Redis struct{ client *redis.Client }

var _ Keyspace = (*Redis)(nil)

// OpenRedis returns the Redis at redis://[user:password@]host[:port][/database], or rediss:// for
// TLS. It does not wait for it. No error repeats the password.
func OpenRedis(address string) (*Redis, error) {
	scheme, _, _ := strings.Cut(address, "://")
	if scheme != "redis" && scheme != "rediss" {
		return nil, errors.New("it should be redis://host:port/database or rediss:// for TLS; of a cluster, one node after the other")
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err // without the address
		}
		return nil, fmt.Errorf("the address is malformed: %w", err)
	}
	options.ContextTimeoutEnabled = true
	options.DisableIdentity = true // old servers know no CLIENT SETINFO
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DialerRetries = 1 // who gave the address waits for an answer
	// More than are used, since one goroutine reads: as many failures as there may be
	// connections would let the library try on in the background.
	options.PoolSize = 8
	quietLibrary()
	return &Redis{redis.NewClient(options)}, nil
}

// quietLibrary keeps go-redis from writing to standard error on its own: what it
// would say arrives as errors too.
var quietLibrary = sync.OnceFunc(func() { redis.SetLogger(mute{}) })

type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Scan implements [Keyspace]. Keys that vanish, or become
// another, meanwhile are left out.
func (r *Redis) Scan(ctx context.Context, pattern Pattern, each func(Key) error) error {
	if name := pattern.Name(); name != "" {
		keys, err := r.read(ctx, []string{name})
		if err != nil || len(keys) == 0 {
			return err
		}
		return each(keys[0])
	}
	glob := pattern.Glob()
	for cursor := uint64(0); ; {
		names, next, err := r.client.Scan(ctx, cursor, glob, scanCount).Result()
		if err != nil {
			return err
		}
		keys, err := r.read(ctx, names)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := each(key); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// read returns what the keys are and hold, in two round trips.
func (r *Redis) read(ctx context.Context, names []string) ([]Key, error) {
	if len(names) == 0 {
		return nil, nil
	}
	types := make([]*redis.StatusCmd, len(names))
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			types[i] = p.Type(ctx, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	contents := make([]redis.Cmder, len(names))
	_, err = r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			contents[i] = contentCommand(ctx, p, types[i].Val(), name)
		}
		return nil
	})
	if err != nil && !isWrongType(err) {
		return nil, err
	}
	keys := make([]Key, 0, len(names))
	for i, name := range names {
		key := Key{Name: name, Type: types[i].Val(), Size: -1}
		switch content := contents[i].(type) {
		case *redis.StringCmd:
			key.Text = content.Val()
		case *redis.IntCmd:
			key.Size = content.Val()
		}
		if key.Type == "none" || contents[i] != nil && contents[i].Err() != nil {
			continue
		}
		if key.Type == "string" && strings.HasPrefix(key.Text, hyperLogLog) {
			if err := r.estimate(ctx, &key); err != nil {
				return nil, err
			}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// contentCommand asks for what a key of that type holds: a string's text, or its size.
func contentCommand(ctx context.Context, p redis.Pipeliner, kind, name string) redis.Cmder {
	switch kind {
	case "string":
		// A number has 20 characters; of what is longer, its beginning says enough.
		return p.GetRange(ctx, name, 0, 63)
	case "set":
		return p.SCard(ctx, name)
	case "zset":
		return p.ZCard(ctx, name)
	case "hash":
		return p.HLen(ctx, name)
	case "list":
		return p.LLen(ctx, name)
	}
	return nil
}

// hyperLogLog begins the strings in which Redis estimates how many were seen.
const hyperLogLog = "HYLL"

// estimate makes key a count of what a HyperLogLog saw.
func (r *Redis) estimate(ctx context.Context, key *Key) error {
	n, err := r.client.PFCount(ctx, key.Name).Result()
	if err != nil {
		if isWrongType(err) {
			return nil // a text that only begins so
		}
		return err
	}
	key.Type, key.Text, key.Size = "hyperloglog", "", n
	return nil
}

// isWrongType tells whether a key was not of the type that it had.
func isWrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "WRONGTYPE")
}
