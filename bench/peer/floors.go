package peer

import (
	"context"

	"github.com/tallycast/tallycast/bench/load"
)

// benchProgram returns a peer that is a program in peer/FOLDER.
func benchProgram(name, folder string, redis bool, arguments ...string) *Peer {
	return &Peer{
		Name: name, like: postLike,
		start: func(ctx context.Context, s *Server, _ Options) error {
			path, err := program(folder)
			if err != nil {
				return err
			}
			all := append([]string{"-listen", s.Address}, arguments...)
			if redis {
				if err := s.needRedis(ctx); err != nil {
					return err
				}
				all = append(all, "-redis", s.Redis.Address)
			}
			return s.run(ctx, path, all...)
		},
	}
}

// Floor returns the lower bound of a delivery's cost.
func Floor() *Peer {
	p := benchProgram("write(2)", "floor", false)
	p.Settings = "raw sockets in a slice, GOMAXPROCS loops, one write(2) a delivery of the same bytes"
	p.Transports = bothTransports
	p.endpoint = func(load.Transport) load.Endpoint {
		return load.Endpoint{Path: "/?{topics}", TopicParam: "topic={topic}", Ready: live}
	}
	return p
}

// Empty returns the lower bound of a like's cost.
func Empty() *Peer {
	p := benchProgram("empty Gin handler", "empty", false)
	p.Settings = "gin.New() in release mode, a handler that answers a fixed body"
	p.Likes = true
	return p
}
