package redistest_test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A killed server keeps its data until Empty.
func TestServer_KillAndRestart(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	s.Do("SET", "a", "1")
	s.Kill()
	s.Restart()
	if got := s.Do("GET", "a"); got != "1" {
		t.Fatalf("after the kill a is %v", got)
	}
	s.Kill()
	s.Empty()
	s.Restart()
	if got := s.Do("GET", "a"); got != nil {
		t.Fatalf("in the emptied server a is %v", got)
	}
}

// A server can have TLS and users.
func TestServer_TLSAndUsers(t *testing.T) {
	s := redistest.Start(t, redistest.Options{
		TLS: true, Password: "root", Users: []string{"app on >word ~app:* &* +get"},
	})
	if users, _ := s.Do("ACL", "LIST").([]any); len(users) != 2 {
		t.Fatalf("users: %v", users)
	}
	if url := s.URLAs("app", "word", 3); !strings.HasPrefix(url, "rediss://app:word@127.0.0.1:") || !strings.HasSuffix(url, "/3") {
		t.Fatalf("url %s", url)
	}
}

// Sentinels and clusters are complete after the start.
func TestSentinelsAndCluster_Start(t *testing.T) {
	began := time.Now()
	s := redistest.StartSentinels(t, redistest.Options{})
	if got := s.PrimaryAddr(); got != s.Servers[0].Addr {
		t.Errorf("the primary is %q", got)
	}
	t.Logf("Sentinels after %s", time.Since(began))
	began = time.Now()
	c := redistest.StartCluster(t, true)
	if len(c.Primaries) != 3 || len(c.Replicas) != 3 {
		t.Errorf("%d primaries, %d replicas", len(c.Primaries), len(c.Replicas))
	}
	t.Logf("a cluster of six after %s", time.Since(began))
}

// The clock can be set while the server runs.
func TestServer_SetClock(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Clock: true})
	for _, ahead := range []time.Duration{0, -time.Hour, time.Hour} {
		s.SetClock(ahead)
		seconds, err := strconv.ParseInt(s.Do("TIME").([]any)[0].(string), 10, 64)
		if off := time.Since(time.Unix(seconds, 0)) + ahead; err != nil || off.Abs() > time.Minute {
			t.Errorf("set ahead by %s, the clock says %d, which is off by %s (%v)", ahead, seconds, off, err)
		}
	}
}

// A proxy drops the given flow and nothing else.
func TestProxy_Lose(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	for _, flow := range []redistest.Flow{
		{Direction: redistest.FromServer, Traffic: redistest.Commands}, {Direction: redistest.ToServer, Traffic: redistest.Commands},
		{Direction: redistest.FromServer, Traffic: redistest.PubSub}, {Direction: redistest.ToServer, Traffic: redistest.PubSub},
	} {
		proxy := redistest.StartProxy(t, s.Addr)
		ask := func(conn net.Conn, command string) (answered bool) {
			_, _ = conn.Write([]byte(command))
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			n, _ := conn.Read(make([]byte, 1024))
			return n > 0
		}
		const ping, subscribe = "*1\r\n$4\r\nPING\r\n", "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nx\r\n"
		var conns []net.Conn
		for range 4 {
			conn, err := net.Dial("tcp", proxy.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns = append(conns, conn)
		}
		if !ask(conns[0], ping) || !ask(conns[1], subscribe) {
			t.Fatal("a proxy without losses drops data")
		}
		proxy.Lose(true, flow)
		for i, command := range []string{ping, subscribe, ping, subscribe} { // on old connections and on new ones
			if got, want := ask(conns[i], command), (flow.Traffic == redistest.PubSub) == (command == ping); got != want {
				t.Errorf("without %s %s: connection %d was answered: %t", flow.Traffic, flow.Direction, i, got)
			}
		}
		proxy.Lose(false, flow)
		if got, want := ask(conns[2], ping), flow.Traffic == redistest.PubSub; got != want {
			t.Errorf("after %s %s were dropped: a command was answered: %t", flow.Traffic, flow.Direction, got)
		}
	}
}
