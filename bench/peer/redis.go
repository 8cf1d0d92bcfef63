package peer

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/tallycast/tallycast/bench/measure"
)

// RedisSettings are those of every Redis that the bench starts: nothing is written
// to disk, so that its CPU time is that of the commands.
const RedisSettings = "redis-server --save '' --appendonly no"

// Redis is a redis-server that runs.
type Redis struct {
	Address   string
	Processes measure.Processes

	dir     string
	process *process
}

// StartRedis starts a Redis of its own. [Redis.Stop] ends it.
func StartRedis(ctx context.Context) (*Redis, error) {
	name, err := find("redis-server", "redis-server")
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

// Stop ends it; what it held is gone.
func (r *Redis) Stop() error {
	if err := r.process.stop(); err != nil {
		return err
	}
	return os.RemoveAll(r.dir)
}
