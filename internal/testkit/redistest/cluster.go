package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// primaries is how many primaries a cluster has: the fewest that can elect.
const primaries = 3

// slotCount is the number of slots of a cluster.
const slotCount = 16384

// Cluster is three primaries and optionally a replica of each.
type Cluster struct {
	// Primaries have a third of the slots each at the start, in order.
	Primaries []*Server
	// Replicas are in the same order, or empty.
	Replicas []*Server
}

// StartCluster starts a cluster and waits until all nodes agree. A node counts as failed
// after a second of silence.
func StartCluster(t testing.TB, withReplicas bool, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	n := primaries
	if withReplicas {
		n *= 2
	}
	var all []*Server
	var buses []string
	for range n {
		bus := processtest.FreePort(t)
		buses = append(buses, bus)
		all = append(all, Start(t, Options{Args: append(append(replicationArgs(),
			"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", bus,
			"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"), args...)}))
	}
	c.Primaries, c.Replicas = all[:primaries], all[primaries:]
	for i, s := range all {
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < primaries {
			s.Do("CLUSTER", "ADDSLOTSRANGE", i*slotCount/primaries, (i+1)*slotCount/primaries-1)
		}
		if i > 0 {
			host, port, _ := net.SplitHostPort(s.Addr)
			all[0].Do("CLUSTER", "MEET", host, port, buses[i])
		}
	}
	for _, s := range all {
		processtest.Eventually(t, "the nodes of the cluster know each other", func() bool {
			return s.clusterInfo("cluster_known_nodes") == strconv.Itoa(n) &&
				s.clusterInfo("cluster_slots_assigned") == strconv.Itoa(slotCount) &&
				!strings.Contains(fmt.Sprint(s.Do("CLUSTER", "NODES")), "handshake")
		})
	}
	for i, s := range c.Replicas {
		s.Do("CLUSTER", "REPLICATE", c.Primaries[i].nodeID())
	}
	for _, s := range c.Replicas {
		processtest.Eventually(t, "the replica follows", s.Follows)
	}
	for _, s := range all {
		processtest.Eventually(t, "the cluster is whole", func() bool {
			return s.clusterInfo("cluster_state") == "ok" && strings.Count(fmt.Sprint(s.Do("CLUSTER", "NODES")), "slave ") == len(c.Replicas)
		})
	}
	return c
}

// URL returns the URL of the cluster.
func (c *Cluster) URL() string {
	var addrs []string
	for _, s := range c.Primaries {
		addrs = append(addrs, s.Addr)
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// nodeID returns the server's id in its cluster.
func (s *Server) nodeID() string {
	s.t.Helper()
	return fmt.Sprint(s.Do("CLUSTER", "MYID"))
}

func (s *Server) clusterInfo(name string) string {
	reply, err := s.Try("CLUSTER", "INFO")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// Move moves a slot and its keys to another primary, like redis-cli. It calls during, if not
// nil, after the first key moved.
func (c *Cluster) Move(slot int, from, to *Server, during func()) {
	from.t.Helper()
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.nodeID())
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.nodeID())
	host, port, _ := net.SplitHostPort(to.Addr)
	for {
		keys, _ := from.Do("CLUSTER", "GETKEYSINSLOT", slot, 1).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do("MIGRATE", host, port, keys[0], 0, startTimeout.Milliseconds())
		if during != nil {
			during()
			during = nil
		}
	}
	if during != nil {
		during()
	}
	to.Do("CLUSTER", "SETSLOT", slot, "NODE", to.nodeID())
	from.Do("CLUSTER", "SETSLOT", slot, "NODE", to.nodeID())
}
