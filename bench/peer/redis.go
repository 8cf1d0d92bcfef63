package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tallycast/tallycast/bench/measure"
)

// Redis is a running redis-server. It writes nothing to disk, so that its CPU time is that of
// the commands.
type Redis struct {
	Address   string
	Processes measure.Processes

	dir     string
	process *process
}

// StartRedis starts a Redis. [Redis.Stop] ends it.
func StartRedis(ctx context.Context) (*Redis, error) { return startRedis(ctx) }

// StartRegion starts a region with a round trip to the primary.
func StartRegion(ctx context.Context, primary *Redis, roundTrip time.Duration) (g *Region, err error) {
	g = &Region{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Stop())
		}
	}()
	if g.Link, err = startRelay(primary.Address, roundTrip); err != nil {
		return nil, err
	}
	if g.Line, err = startRelay(primary.Address, roundTrip); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(g.Link.Address)
	if err != nil {
		return nil, err
	}
	g.Replica, err = startRedis(ctx, "--replicaof", host, port)
	return g, err
}

func startRedis(ctx context.Context, arguments ...string) (*Redis, error) {
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
	r.process, err = startProcess(filepath.Join(dir, "log"), name, append([]string{
		"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
	}, arguments...)...)
	if err != nil {
		return nil, err
	}
	r.Processes = measure.Processes{r.process.pid()}
	if err := r.process.untilListening(ctx, address); err != nil {
		return nil, errors.Join(fmt.Errorf("start redis-server: %w", err), r.Stop())
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
