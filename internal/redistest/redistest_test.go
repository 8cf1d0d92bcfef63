package redistest_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAServerKeepsItsDataOverAKill(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	s.Do("SET", "a", "1")
	s.Kill9()
	s.Restart()
	if got := s.Do("GET", "a"); got != "1" {
		t.Fatalf("after the kill a is %v", got)
	}
	s.Kill9()
	s.Empty()
	s.Restart()
	if got := s.Do("GET", "a"); got != nil {
		t.Fatalf("in the emptied server a is %v", got)
	}
}

func TestAServerSpeaksTLSAndKnowsUsers(t *testing.T) {
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

func TestSentinelsAndAClusterStartWhole(t *testing.T) {
	began := time.Now()
	s := redistest.StartSentinels(t)
	if got := s.Names(); got != s.Servers[0].Addr {
		t.Errorf("the Sentinels name %q", got)
	}
	t.Logf("Sentinels after %s", time.Since(began))
	began = time.Now()
	c := redistest.StartCluster(t, true)
	if len(c.Primaries) != 3 || len(c.Replicas) != 3 {
		t.Errorf("%d primaries, %d replicas", len(c.Primaries), len(c.Replicas))
	}
	t.Logf("a cluster of six after %s", time.Since(began))
}
