package checker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// scene is a store in one of its shapes, and how instances reach it.
type scene struct {
	stores []string // the URL that each instance has
	env    []string // of the instances
	args   []string // further flags of the instances

	servers []*redistest.Server // all that may hold topics
	proxies []*redistest.Proxy  // one before each instance; none where it goes straight
	// holder returns who holds a topic now; nil while nobody does.
	holder func(topic string) *redistest.Server
	// count returns what the store itself says of a topic.
	count func(topic string) (n, version int64)
}

// asked has the counts read from the Redis that holds the topic.
func (s *scene) asked() *scene {
	s.count = func(topic string) (n, version int64) {
		server := s.holder(topic)
		if server == nil {
			return -1, -1
		}
		reply, err := server.Try("HMGET", "tally:{"+topic+"}:count", "n", "v")
		values, _ := reply.([]any)
		if err != nil || len(values) != 2 {
			return -1, -1
		}
		_, _ = fmt.Sscan(fmt.Sprint(values[0]), &n) // nothing where there is nothing
		_, _ = fmt.Sscan(fmt.Sprint(values[1]), &version)
		return n, version
	}
	return s
}

// proxied is one Redis and a proxy before each of n instances.
func proxied(t testing.TB, n int, args ...string) *scene {
	t.Helper()
	server := redistest.Start(t, redistest.Options{Args: args})
	s := &scene{servers: []*redistest.Server{server}, holder: func(string) *redistest.Server { return server }}
	for range n {
		p := redistest.StartProxy(t, server.Addr)
		s.proxies = append(s.proxies, p)
		s.stores = append(s.stores, "redis://"+p.Addr+"/0")
	}
	return s.asked()
}

// The user as whom the instances of [encrypted] come.
const user, password = "app", "p:ss@word"

// encrypted is one Redis that speaks TLS and knows users.
func encrypted(t testing.TB, n int) *scene {
	t.Helper()
	server := redistest.Start(t, redistest.Options{TLS: true, Password: "of-default", Args: durable, Users: []string{user + " on >" + password + " ~* &* +@all"}})
	// The certificate signs itself; the system's list of those to trust is replaced.
	certificates, err := filepath.Glob(filepath.Join(server.Dir, "*.crt"))
	if err != nil || len(certificates) != 1 {
		t.Fatalf("certificates: %v, %v", certificates, err)
	}
	s := &scene{
		servers: []*redistest.Server{server}, holder: func(string) *redistest.Server { return server },
		env: []string{"SSL_CERT_FILE=" + certificates[0]},
	}
	for range n {
		s.stores = append(s.stores, server.URLAs(user, password, 0))
	}
	return s.asked()
}

// watched is a primary and its replica behind Sentinels.
func watched(sentinels *redistest.Sentinels, n int, query string) *scene {
	s := &scene{servers: sentinels.Servers, holder: func(string) *redistest.Server {
		primary, _ := roles(sentinels)
		return primary
	}}
	for range n {
		s.stores = append(s.stores, sentinels.URL(0)+query)
	}
	return s.asked()
}

// spread is a Cluster.
func spread(cluster *redistest.Cluster, n int, query string) *scene {
	s := &scene{servers: append(append([]*redistest.Server(nil), cluster.Primaries...), cluster.Replicas...)}
	s.holder = func(topic string) *redistest.Server {
		for _, server := range s.servers {
			if _, err := server.Try("HGET", "tally:{"+topic+"}:count", "n"); err == nil {
				return server // the others say where it is
			}
		}
		return nil
	}
	for range n {
		s.stores = append(s.stores, cluster.URL()+query)
	}
	return s.asked()
}

// filed is one SQLite file, which only one instance can have.
func filed(t testing.TB) (s *scene, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tally.db")
	return &scene{stores: []string{"sqlite:" + path}, count: func(topic string) (n, version int64) {
		parts := strings.SplitN(topic, "/", 3)
		db := openFile(t, path)
		defer db.Close()
		_ = db.QueryRow(`SELECT count, version FROM topics WHERE site = ? AND metric = ? AND key = ?`, parts[0], parts[1], parts[2]).
			Scan(&n, &version) // nothing where there is nothing
		return n, version
	}}, path
}

// readFile returns what a file holds.
func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
