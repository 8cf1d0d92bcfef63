package checker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// deployment is a kind of store and how instances connect to it.
type deployment struct {
	stores   []string // one URL for each instance
	replicas []string // for each instance the URL of its replica, or empty; nil for none at all
	env      []string // of the instances
	args     []string // further flags of the instances

	servers []*redistest.Server // all that may have topics
	proxies []*redistest.Proxy  // one for each instance, or none
	// nodeOf returns the server that has a topic; nil if there is none.
	nodeOf func(topic string) *redistest.Server
	// stored returns the stored count and version of a topic.
	stored func(topic string) (n, version int64)
}

// readFromRedis makes stored read from the Redis server that has the topic.
func (s *deployment) readFromRedis() *deployment {
	s.stored = func(topic string) (n, version int64) {
		server := s.nodeOf(topic)
		if server == nil {
			return -1, -1
		}
		reply, err := server.Try("HMGET", "tally:{"+topic+"}:count", "n", "v")
		values, _ := reply.([]any)
		if err != nil || len(values) != 2 {
			return -1, -1
		}
		for option := range strings.SplitSeq(fmt.Sprint(values[0]), ",") {
			var count int64
			_, _ = fmt.Sscan(option, &count) // 0 if missing
			n += count
		}
		_, _ = fmt.Sscan(fmt.Sprint(values[1]), &version)
		return n, version
	}
	return s
}

// proxiedRedis is one Redis and a proxy for each of n instances.
func proxiedRedis(t testing.TB, n int, args ...string) *deployment {
	t.Helper()
	server := redistest.Start(t, redistest.Options{Args: args})
	s := &deployment{servers: []*redistest.Server{server}, nodeOf: func(string) *redistest.Server { return server }}
	for range n {
		p := redistest.StartProxy(t, server.Addr)
		s.proxies = append(s.proxies, p)
		s.stores = append(s.stores, "redis://"+p.Addr+"/0")
	}
	return s.readFromRedis()
}

// The Redis user of the instances of [tlsRedis].
const user, password = "app", "p:ss@word"

// tlsRedis is one Redis with TLS and users.
func tlsRedis(t testing.TB, n int) *deployment {
	t.Helper()
	server := redistest.Start(t, redistest.Options{TLS: true, Password: "of-default", Args: durable, Users: []string{user + " on >" + password + " ~* &* +@all"}})
	// The certificate is self-signed, so it replaces the system's trusted certificates.
	certificates, err := filepath.Glob(filepath.Join(server.Dir, "*.crt"))
	if err != nil || len(certificates) != 1 {
		t.Fatalf("certificates: %v, %v", certificates, err)
	}
	s := &deployment{
		servers: []*redistest.Server{server}, nodeOf: func(string) *redistest.Server { return server },
		env: []string{"SSL_CERT_FILE=" + certificates[0]},
	}
	for range n {
		s.stores = append(s.stores, server.URLAs(user, password, 0))
	}
	return s.readFromRedis()
}

// sentinelDeployment is a primary and its replica behind Sentinels.
func sentinelDeployment(sentinels *redistest.Sentinels, n int, query string) *deployment {
	s := &deployment{servers: sentinels.Servers, nodeOf: func(string) *redistest.Server {
		primary, _ := roles(sentinels)
		return primary
	}}
	for range n {
		s.stores = append(s.stores, sentinels.URL(0)+query)
	}
	return s.readFromRedis()
}

// clusterDeployment is a Cluster.
func clusterDeployment(cluster *redistest.Cluster, n int, query string) *deployment {
	s := &deployment{servers: append(append([]*redistest.Server(nil), cluster.Primaries...), cluster.Replicas...)}
	s.nodeOf = func(topic string) *redistest.Server {
		for _, server := range s.servers {
			if _, err := server.Try("HGET", "tally:{"+topic+"}:count", "n"); err == nil {
				return server // the others redirect
			}
		}
		return nil
	}
	for range n {
		s.stores = append(s.stores, cluster.URL()+query)
	}
	return s.readFromRedis()
}

// sqliteDeployment is one SQLite file with one instance.
func sqliteDeployment(t testing.TB) (s *deployment, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tally.db")
	return &deployment{stores: []string{"sqlite:" + path}, stored: func(topic string) (n, version int64) {
		parts := strings.SplitN(topic, "/", 3)
		db := openFile(t, path)
		defer db.Close()
		_ = db.QueryRow(`SELECT count, version FROM topics WHERE site = ? AND metric = ? AND key = ?`, parts[0], parts[1], parts[2]).
			Scan(&n, &version) // 0 if missing
		return n, version
	}}, path
}

// readFile returns the content of a file.
func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
