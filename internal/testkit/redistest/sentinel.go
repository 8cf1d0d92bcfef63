package redistest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// Primary is the Sentinels' name of the primary.
const Primary = "tally"

// Password is the password of the user "default" of the primary and the replica.
const Password = "r:dis"

// The Sentinels have their own user, so that a test can isolate them from a server that
// still serves others.
const sentinelUser, sentinelPassword = "sentinel", "watching"

// Sentinels is a primary, a replica, and three Sentinels that watch them.
type Sentinels struct {
	// Servers are the primary and the replica of the start.
	Servers []*Server
	// Watchers are the Sentinels.
	Watchers []*Server

	options Options // of Servers
}

// StartSentinels starts a primary and a replica with options, and Sentinels, and waits until
// they know each other.
func StartSentinels(t testing.TB, options Options) *Sentinels {
	t.Helper()
	options.Password = Password
	options.Users = []string{sentinelUser + " on >" + sentinelPassword + " ~* &* +@all"}
	options.Args = append(append(replicationArgs(), "--masterauth", Password), options.Args...)
	primary := Start(t, options)
	_, port, _ := strings.Cut(primary.Addr, ":")
	s := &Sentinels{Servers: []*Server{primary, StartReplica(t, primary.Addr, options)}, options: options}
	config := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\n"+
		"sentinel down-after-milliseconds %[1]s %[5]d\nsentinel failover-timeout %[1]s 3000\n"+
		"sentinel auth-user %[1]s %[3]s\nsentinel auth-pass %[1]s %[4]s\n", Primary, port, sentinelUser, sentinelPassword, patience.Milliseconds())
	for range 3 {
		w := Start(t, Options{sentinel: config})
		// Shorter than the defaults of 2 s and 10 s. A replica that did not answer for five
		// ping periods is not promoted, and is asked once a second without a primary.
		w.Do("SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100", "INFO-PERIOD", "200", "PING-PERIOD", "250", "ASK-PERIOD", "100")
		s.Watchers = append(s.Watchers, w)
	}
	for _, w := range s.Watchers {
		processtest.Eventually(t, "the Sentinels know each other and the replica", func() bool {
			knows := w.replyFields("SENTINEL", "MASTER", Primary)
			return knows["num-slaves"] == "1" && knows["num-other-sentinels"] == "2"
		})
	}
	return s
}

// A primary counts as failed after patience without an answer, so that a busy machine causes no
// failover, and in [Sentinels.FailOver] after silence.
const patience, silence = time.Minute, 2 * time.Second

// FailOver begins a fault of the primary and waits until the Sentinels agree on another one.
func (s *Sentinels) FailOver(t testing.TB, fault func(), next *Server) {
	t.Helper()
	s.setDownAfter(silence)
	defer s.setDownAfter(patience)
	fault()
	processtest.Eventually(t, "the replica is promoted", func() bool { return s.PrimaryAddr() == next.Addr })
}

func (s *Sentinels) setDownAfter(silence time.Duration) {
	for _, w := range s.Watchers {
		w.Do("SENTINEL", "SET", Primary, "down-after-milliseconds", silence.Milliseconds())
	}
}

// StartReplica starts a replica that the Sentinels do not promote.
func (s *Sentinels) StartReplica(t testing.TB) *Server {
	t.Helper()
	options := s.options
	options.Args = append([]string{"--replica-priority", "0"}, options.Args...)
	return StartReplica(t, s.Servers[0].Addr, options)
}

// replicationArgs returns arguments for fast replication.
func replicationArgs() []string {
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

// Isolate disconnects the Sentinels from a server, which still serves other clients, or
// reconnects them.
func (s *Sentinels) Isolate(server *Server, isolated bool) {
	if isolated {
		server.Do("ACL", "SETUSER", sentinelUser, "off")
		server.Do("CLIENT", "KILL", "USER", sentinelUser)
		return
	}
	server.Do("ACL", "SETUSER", sentinelUser, "on")
	// The Sentinels authenticate once a connection, and keep unauthenticated ones.
	server.Do("CLIENT", "KILL", "TYPE", "normal")
}

// PrimaryAddr returns the address of the primary that the Sentinels agree on, or an empty
// string.
func (s *Sentinels) PrimaryAddr() (addr string) {
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

// Follows reports whether the server is a replica in sync with its primary.
func (s *Server) Follows() bool { return s.info("replication")["master_link_status"] == "up" }

// info returns a section of INFO.
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

// replyFields returns the reply to a command as names and values.
func (s *Server) replyFields(args ...any) map[string]string {
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
