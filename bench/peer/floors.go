package peer

import (
	"context"

	"github.com/tallycast/tallycast/bench/load"
)

// own returns a peer that is a program of this bench.
func own(name, folder string, redis bool, arguments ...string) *Peer {
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

// Floor is the least that a delivery costs.
func Floor() *Peer {
	p := own("write(2)", "floor", false)
	p.Settings = "raw sockets in a slice, GOMAXPROCS loops, one write(2) a delivery of the same bytes"
	p.Transports = both
	p.door = func(load.Transport) load.Door {
		return load.Door{Path: "/?{topics}", TopicParam: "topic={topic}", Ready: live}
	}
	return p
}

// Empty is the least that a like costs.
func Empty() *Peer {
	p := own("empty Gin handler", "empty", false)
	p.Settings = "gin.New() in release mode, a handler that answers a fixed body"
	p.Likes = true
	return p
}
