package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// webdisScript increments and publishes in one call, because webdis has no transactions.
const webdisScript = `local n = redis.call('INCR', KEYS[1]); redis.call('PUBLISH', KEYS[1], n); return n`

// Webdis returns Redis behind HTTP.
func Webdis() *Peer {
	p := &Peer{
		Name:     "webdis",
		Settings: "webdis 0.1.9, 2 HTTP threads, 16 connections to Redis; a like is one EVALSHA of INCR and PUBLISH",
		Likes:    true,
	}
	p.start = func(ctx context.Context, s *Server, _ Options) error { return startWebdis(ctx, s) }
	digest := redis.NewScript(webdisScript).Hash()
	p.like = func(dst []byte, topic string, _ int64) []byte {
		return fmt.Appendf(dst, "GET /EVALSHA/%s/1/%s HTTP/1.1\r\nHost: bench\r\nConnection: keep-alive\r\n\r\n",
			digest, strings.ReplaceAll(topic, "/", "%2F"))
	}
	return p
}

func startWebdis(ctx context.Context, s *Server) (err error) {
	name, err := lookPath("webdis", "webdis")
	if err != nil {
		return err
	}
	if err := s.needRedis(ctx); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: s.Redis.Address})
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.ScriptLoad(ctx, webdisScript).Err(); err != nil {
		return fmt.Errorf("load the script: %w", err)
	}
	configuration := map[string]any{
		"threads": 2, "pool_size": 16, "daemonize": false, "websockets": false,
		"database": 0, "verbosity": 0, "logfile": filepath.Join(s.dir, "webdis.log"),
	}
	for prefix, address := range map[string]string{"http": s.Address, "redis": s.Redis.Address} {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		configuration[prefix+"_host"], configuration[prefix+"_port"] = host, number
	}
	data, err := json.Marshal(configuration)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, "webdis.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	return s.run(ctx, name, path)
}
