package peer

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/tallycast/tallycast/bench/measure"
)

// RedisSettings are the settings of every Redis here: it writes nothing to disk, so that its
// CPU time is that of the commands.
const RedisSettings = "redis-server --save '' --appendonly no"

// Redis is a running redis-server.
type Redis struct {
	Address   string
	Processes measure.Processes

	dir     string
	process *process
}

// StartRedis starts a Redis. [Redis.Stop] ends it.
func StartRedis(ctx context.Context) (*Redis, error) {
	name, err := lookPath("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tallycast-bench-redis-")
	if err != nil {
		return nil, err
	}
	r := &Redis{Address: address, dir: dir}
	r.process, err = startProcess(filepath.Join(dir, "log"), name,
		"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, err
	}
	r.Processes = measure.Processes{r.process.pid()}
	if err := r.process.untilListening(ctx, address); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	return r, nil
}

// Stop ends the server and removes its data.
func (r *Redis) Stop() error {
	if err := r.process.stop(); err != nil {
		return err
	}
	return os.RemoveAll(r.dir)
}
