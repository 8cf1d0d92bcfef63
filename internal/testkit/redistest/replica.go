package redistest

import (
	"net"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// StartPrimary starts a server whose replicas follow without a delay.
func StartPrimary(t testing.TB, options Options) *Server {
	t.Helper()
	options.Args = append(replicationArgs(), options.Args...)
	return Start(t, options)
}

// StartReplica starts a replica of the Redis at addr, which may be a [Proxy] of one, and waits
// until it follows.
func StartReplica(t testing.TB, addr string, options Options) *Server {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	options.Args = append(append(replicationArgs(), "--replicaof", host, port), options.Args...)
	s := Start(t, options)
	processtest.Eventually(t, "the replica follows", s.Follows)
	return s
}

// Replicate makes the server a replica of the Redis at addr, or of none if addr is empty.
func (s *Server) Replicate(addr string) {
	s.t.Helper()
	host, port := "no", "one"
	if addr != "" {
		var err error
		if host, port, err = net.SplitHostPort(addr); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Do("REPLICAOF", host, port)
}
