package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tallycast/tallycast/bench/load"
)

// SocketIO returns socket.io with its Redis adapter.
func SocketIO() *Peer {
	return &Peer{
		Name:       "socket.io",
		Settings:   "socket.io 4.8.4 on node, one process, Redis adapter 8.3.0, WebSocket only, no compression, a room a topic, INCR in Redis",
		Transports: []load.Transport{load.WebSocket}, Likes: true,
		start: startSocketIO,
		endpoint: func(load.Transport) load.Endpoint {
			// 40 enters the default namespace (Socket.IO protocol 5 over Engine.IO 4).
			return load.Endpoint{Path: "/socket.io/?EIO=4&transport=websocket&{topics}", TopicParam: "topic={topic}", FirstMessage: "40", Ready: `42["live"]`}
		},
		like: postLike,
	}
}

func startSocketIO(ctx context.Context, s *Server, _ Options) error {
	node, err := lookPath("node", "nodejs npm")
	if err != nil {
		return err
	}
	bench, err := root()
	if err != nil {
		return err
	}
	folder := filepath.Join(bench, "peer", "socketio")
	if err := installSocketIO(ctx, folder); err != nil {
		return err
	}
	if err := s.needRedis(ctx); err != nil {
		return err
	}
	return s.run(ctx, node, filepath.Join(folder, "server.js"), "--listen", s.Address, "--redis", s.Redis.Address)
}

// installSocketIO installs socket.io by its lock file, unless it is installed.
func installSocketIO(ctx context.Context, folder string) error {
	_, err := os.Stat(filepath.Join(folder, "node_modules", ".package-lock.json"))
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	npm, err := lookPath("npm", "npm")
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, npm, "ci", "--prefix", folder, "--no-audit", "--no-fund")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w: %s", folder, err, out)
	}
	return nil
}
