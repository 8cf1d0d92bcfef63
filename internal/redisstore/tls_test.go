package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// A Sentinel and its primary accept only TLS.
func TestSentinel_TLS(t *testing.T) {
	t.Parallel()
	const password = "r:dis"
	primary := redistest.Start(t, redistest.Options{TLS: true, Password: password})
	_, port, _ := net.SplitHostPort(primary.Addr)
	watcher, dir := processtest.FreeAddress(t), t.TempDir()
	_, own, _ := net.SplitHostPort(watcher)
	file := func(name string) string { return filepath.Join(primary.Dir, name) }
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport 0\ntls-port %s\ndir %s\ntls-replication yes\ntls-auth-clients no\n"+
		"tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\n"+
		"sentinel monitor %[6]s 127.0.0.1 %[7]s 1\nsentinel auth-pass %[6]s %[8]s\n",
		own, dir, file("server.crt"), file("server.key"), file("server.crt"), redistest.Primary, port, password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := processtest.Start(t, "redis-server", nil, config, "--sentinel")
	processtest.Eventually(t, "the Sentinel", func() bool {
		if sentinel.HasEnded() {
			t.Fatalf("it ended:\n%s", sentinel.Out)
		}
		connection, err := net.Dial("tcp", watcher)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	checkStores(t, storeConfig{server: primary, url: fmt.Sprintf("rediss+sentinel://:%s@%s/%s/2", password, watcher, redistest.Primary)},
		topic(t, "default/likes/page"))
}

// Three primaries accept only TLS, also from each other.
func TestCluster_TLS(t *testing.T) {
	t.Parallel()
	const slots = 16384
	var nodes []*redistest.Server
	var buses, addrs []string
	for range 3 {
		_, bus, _ := net.SplitHostPort(processtest.FreeAddress(t))
		node := redistest.Start(t, redistest.Options{TLS: true, Args: []string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--tls-cluster", "yes",
		}})
		nodes, buses, addrs = append(nodes, node), append(buses, bus), append(addrs, node.Addr)
	}
	// All use one certificate, so that they trust each other.
	file := func(name string) string { return filepath.Join(nodes[0].Dir, name) }
	certificate, err := os.ReadFile(file("server.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for i, node := range nodes {
		node.RootCAs.AppendCertsFromPEM(certificate)
		node.Do("CONFIG", "SET", "tls-cert-file", file("server.crt"), "tls-key-file", file("server.key"), "tls-ca-cert-file", file("server.crt"))
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		node.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/len(nodes), (i+1)*slots/len(nodes)-1)
	}
	for i, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		nodes[0].Do("CLUSTER", "MEET", host, port, buses[i+1])
	}
	for _, node := range nodes {
		processtest.Eventually(t, "the cluster is whole", func() bool {
			info := fmt.Sprint(node.Do("CLUSTER", "INFO"))
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	p := storeConfig{server: nodes[0], url: "rediss+cluster://" + strings.Join(addrs, ",")}
	var topics []tally.Topic
	for i := range 30 { // on all nodes
		topics = append(topics, topic(t, fmt.Sprintf("default/likes/page-%d", i)))
	}
	checkStores(t, p, topics...)
}

// checkStores likes with one store and watches with another.
func checkStores(t *testing.T, p storeConfig, topics ...tally.Topic) {
	t.Helper()
	prefix := newPrefix()
	writer, reader := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	v := watch(t, reader, topics...)
	lanes := map[string]bool{}
	for _, topic := range topics {
		like(t, writer, topic, 1)
		v.waitFor(t, reader, topic, 1)
		lanes[writer.Lane(topic)] = true
	}
	if len(topics) > 1 && len(lanes) != 3 {
		t.Errorf("the topics are on %d nodes", len(lanes))
	}
}
