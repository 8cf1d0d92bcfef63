package redistest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Primary is the name under which the Sentinels watch the primary.
const Primary = "tally"

// Password is that of the user "default" of the primary and the replica.
const Password = "r:dis"

// sentinelUser and sentinelPassword are what Sentinels log in with, so that a test
// can cut them off from a server that goes on serving others.
const sentinelUser, sentinelPassword = "sentinel", "watching"

// Sentinels is a primary, a replica, and three Sentinels that watch them.
type Sentinels struct {
	// Servers are the primary and the replica, as they were at the start.
	Servers []*Server
	// Watchers are the Sentinels.
	Watchers []*Server
}

// StartSentinels starts them, and waits until they know each other. A primary that
// is silent for two seconds is taken for dead: on a machine that does much else a
// live one may well be for less.
func StartSentinels(t testing.TB, args ...string) *Sentinels {
	t.Helper()
	return startSentinels(t, Options{Args: args})
}

// StartSentinelsWithClocks is StartSentinels where the clocks of the primary and the
// replica can be set.
func StartSentinelsWithClocks(t testing.TB, args ...string) *Sentinels {
	t.Helper()
	return startSentinels(t, Options{Clock: true, Args: args})
}

func startSentinels(t testing.TB, options Options) *Sentinels {
	t.Helper()
	options.Password = Password
	options.Users = []string{sentinelUser + " on >" + sentinelPassword + " ~* &* +@all"}
	options.Args = append(append(replicated(), "--masterauth", Password), options.Args...)
	primary := Start(t, options)
	_, port, _ := strings.Cut(primary.Addr, ":")
	options.Args = append(slices.Clone(options.Args), "--replicaof", "127.0.0.1", port)
	replica := Start(t, options)
	s := &Sentinels{Servers: []*Server{primary, replica}}
	wait(t, "the replica follows", replica.follows)
	config := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\n"+
		"sentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 3000\n"+
		"sentinel auth-user %[1]s %[3]s\nsentinel auth-pass %[1]s %[4]s\n", Primary, port, sentinelUser, sentinelPassword)
	for range 3 {
		w := Start(t, Options{sentinel: config})
		// They tell each other of themselves, and ask Redis for its replicas, more
		// often than every 2 s and 10 s. A replica of which they heard nothing for five
		// times the ping period is not promoted, and while its primary is away they ask
		// it once a second.
		w.Do("SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100", "INFO-PERIOD", "200", "PING-PERIOD", "250", "ASK-PERIOD", "100")
		s.Watchers = append(s.Watchers, w)
	}
	for _, w := range s.Watchers {
		wait(t, "the Sentinels know each other and the replica", func() bool {
			knows := w.told("SENTINEL", "MASTER", Primary)
			return knows["num-slaves"] == "1" && knows["num-other-sentinels"] == "2"
		})
	}
	return s
}

// replicated are the arguments of servers that replicate quickly.
func replicated() []string {
	return []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
}

// URL returns the URL of the primary that the Sentinels name.
func (s *Sentinels) URL(database int) string {
	var addrs []string
	for _, w := range s.Watchers {
		addrs = append(addrs, w.Addr)
	}
	return fmt.Sprintf("redis+sentinel://%s@%s/%s/%d", url.UserPassword("", Password), strings.Join(addrs, ","), Primary, database)
}

// Cut keeps the Sentinels away from a server that goes on serving others, or lets
// them to it again.
func (s *Sentinels) Cut(server *Server, cut bool) {
	if cut {
		server.Do("ACL", "SETUSER", sentinelUser, "off")
		server.Do("CLIENT", "KILL", "USER", sentinelUser)
		return
	}
	server.Do("ACL", "SETUSER", sentinelUser, "on")
	// They log in once a connection, and keep those on which they could not.
	server.Do("CLIENT", "KILL", "TYPE", "normal")
}

// Names returns the address of the primary that the Sentinels name, empty while
// they do not agree.
func (s *Sentinels) Names() (addr string) {
	for _, w := range s.Watchers {
		reply, err := w.Try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", Primary)
		pair, _ := reply.([]any)
		if err != nil || len(pair) != 2 {
			return ""
		}
		named := fmt.Sprintf("%v:%v", pair[0], pair[1])
		if addr != "" && addr != named {
			return ""
		}
		addr = named
	}
	return addr
}

// follows tells whether the server is a replica whose data is its primary's.
func (s *Server) follows() bool { return s.info("replication")["master_link_status"] == "up" }

// info returns what INFO says.
func (s *Server) info(section string) map[string]string {
	reply, err := s.Try("INFO", section)
	if err != nil {
		return nil
	}
	fields := map[string]string{}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// told returns a reply of names and values.
func (s *Server) told(args ...any) map[string]string {
	reply, err := s.Try(args...)
	if err != nil {
		return nil
	}
	fields := map[string]string{}
	switch r := reply.(type) {
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			fields[fmt.Sprint(r[i])] = fmt.Sprint(r[i+1])
		}
	case map[any]any:
		for name, value := range r {
			fields[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	}
	return fields
}

// wait waits until met.
func wait(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startWithin); !met(); time.Sleep(between) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", startWithin, what)
		}
	}
}
