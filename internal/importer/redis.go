package importer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// scanCount is the number of keys that one SCAN examines: less than a millisecond of Redis's
// time.
const scanCount = 500

// redisKeys are the keys of a Redis. It writes nothing.
type redisKeys struct{ client *redis.Client }

// openRedis returns the keys of the Redis at address. It does not connect.
func openRedis(address string) (*redisKeys, error) {
	scheme, _, _ := strings.Cut(address, "://")
	if scheme != "redis" && scheme != "rediss" {
		return nil, errors.New("the address of the Redis (--from) should be redis://host:port/database, or rediss:// with TLS; import from each node of a cluster in turn")
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		if invalid, ok := errors.AsType[*url.Error](err); ok {
			err = invalid.Err // without the address
		}
		return nil, fmt.Errorf("the address of the Redis (--from) is malformed: %w", err)
	}
	options.ContextTimeoutEnabled = true
	options.DisableIdentity = true // old servers have no CLIENT SETINFO
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DialerRetries = 1 // the owner waits for the answer
	// One goroutine uses the client. After PoolSize failures go-redis would dial in the background.
	options.PoolSize = 8
	silenceLibrary()
	return &redisKeys{redis.NewClient(options)}, nil
}

// silenceLibrary stops go-redis from writing errors to standard error. It also returns them.
var silenceLibrary = sync.OnceFunc(func() { redis.SetLogger(silentLogger{}) })

type silentLogger struct{}

func (silentLogger) Printf(context.Context, string, ...any) {}

// globEscapes escapes the characters but * that have a meaning in patterns of Redis.
var globEscapes = strings.NewReplacer("?", `\?`, "[", `\[`, "]", `\]`, `\`, `\\`, "^", `\^`)

// matching returns the keys that match a pattern, sorted by name. It omits keys that are deleted, or get
// another type, during the scan.
func (r *redisKeys) matching(ctx context.Context, pattern pattern) (_ []match, err error) {
	found := map[string]match{} // by name, since SCAN may return a key twice
	names, cursor := []string{pattern.text}, uint64(0)
	for {
		if pattern.stars() > 0 {
			if names, cursor, err = r.client.Scan(ctx, cursor, globEscapes.Replace(pattern.text), scanCount).Result(); err != nil {
				return nil, err
			}
		}
		keys, err := r.read(ctx, names)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if parts, ok := pattern.match(key.name); ok {
				found[key.name] = match{key, parts}
			}
		}
		if cursor == 0 {
			return slices.SortedFunc(maps.Values(found), func(a, b match) int { return strings.Compare(a.name, b.name) }), nil
		}
	}
}

// read returns the types and contents of keys in two round trips.
func (r *redisKeys) read(ctx context.Context, names []string) ([]key, error) {
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
	keys := make([]key, 0, len(names))
	for i, name := range names {
		found := key{name: name, kind: types[i].Val(), size: -1}
		switch content := contents[i].(type) {
		case *redis.StringCmd:
			found.text = content.Val()
		case *redis.IntCmd:
			found.size = content.Val()
		}
		if found.kind == "none" || contents[i] != nil && contents[i].Err() != nil {
			continue
		}
		if found.kind == "string" && strings.HasPrefix(found.text, hyperLogLog) {
			if err := r.estimate(ctx, &found); err != nil {
				return nil, err
			}
		}
		keys = append(keys, found)
	}
	return keys, nil
}

// contentCommand queues the command that reads a key of that type: its text or its size.
func contentCommand(ctx context.Context, p redis.Pipeliner, kind, name string) redis.Cmder {
	switch kind {
	case "string":
		// A number has up to 20 characters; messages show the beginning of other text.
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

// hyperLogLog is the beginning of the strings that hold a HyperLogLog.
const hyperLogLog = "HYLL"

// estimate sets the size of a key that holds a HyperLogLog.
func (r *redisKeys) estimate(ctx context.Context, found *key) error {
	n, err := r.client.PFCount(ctx, found.name).Result()
	if err != nil {
		if isWrongType(err) {
			return nil // the string is no HyperLogLog
		}
		return err
	}
	found.kind, found.text, found.size = "hyperloglog", "", n
	return nil
}

// isWrongType reports whether a command failed because its key has another type.
func isWrongType(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(reply.Error(), "WRONGTYPE")
}
