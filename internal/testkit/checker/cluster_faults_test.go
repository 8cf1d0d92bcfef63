package checker_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// onOtherNodes returns a function that reports whether a write is to a topic of another
// node.
func (r *run) onOtherNodes(node *redistest.Server) func(checker.Write) bool {
	onNode := map[string]bool{}
	for _, topic := range r.names {
		onNode[topic] = r.nodeOf(topic) == node
	}
	return func(w checker.Write) bool { return !onNode[w.Topic] }
}

// nodeUsableMetric returns the metric for the state of a node.
func nodeUsableMetric(node *redistest.Server) string {
	return `tallycast_redis_node_usable{node="` + node.Addr + `"}`
}

// primaryLost kills a primary, waits until its replica is promoted, and restarts it.
func (r *run) primaryLost(cluster *redistest.Cluster) fault {
	node := r.nodeOf(r.names[0])
	replica := cluster.Replicas[slices.Index(cluster.Primaries, node)]
	return fault{name: "a primary is lost and its replica is promoted", split: true,
		signals: signals{stale: always, metric: increases(reconnects), log: node.Addr}, unaffected: r.onOtherNodes(node),
		begin: func(*rand.Rand) func() {
			node.Kill()
			processtest.Eventually(r.t, "the replica is promoted", func() bool { return r.nodeOf(r.names[0]) == replica })
			return func() {
				node.Restart()
				processtest.Eventually(r.t, "the old primary is a replica", node.Follows)
			}
		}}
}

// nodeHangs stops a node. Writes to other nodes stay fast.
func (r *run) nodeHangs() fault {
	node := r.nodeOf(r.names[0])
	return fault{name: "a node hangs", minDuration: 10 * time.Second, unaffected: r.onOtherNodes(node),
		signals: signals{stale: always, readyz: node.Addr, metric: decreases(nodeUsableMetric(node)), log: node.Addr},
		begin: func(*rand.Rand) func() {
			node.Suspend()
			return node.Resume
		}}
}

// slotsMove moves the slots of all topics on a node, one topic after the other.
func (r *run) slotsMove(cluster *redistest.Cluster) fault {
	all := func(checker.Write) bool { return true }
	// A write waits at most half a second for a topic whose keys are on two nodes. A slow
	// machine takes longer to move these.
	const wait = 500 * time.Millisecond
	return fault{name: "slots move", unaffected: all, overloaded: wait / 2, begin: func(*rand.Rand) func() {
		from := r.nodeOf(r.names[0])
		to := cluster.Primaries[(slices.Index(cluster.Primaries, from)+1)%len(cluster.Primaries)]
		for _, topic := range r.names {
			if r.nodeOf(topic) != from {
				continue
			}
			slot := int(from.Do("CLUSTER", "KEYSLOT", "tally:{"+topic+"}:count").(int64))
			cluster.Move(slot, from, to, nil)
			before := len(r.record.history().Writes)
			processtest.Eventually(r.t, "writes after the move", func() bool { return len(r.record.history().Writes) > before+10 })
		}
		return nil
	}}
}

// Each fault of a Redis Cluster alone breaks no promise, and operators see it.
func TestFault_Cluster(t *testing.T) {
	t.Parallel()
	var replicated, single *redistest.Cluster
	withReplicas := func(c **redistest.Cluster) func(t *testing.T) *deployment {
		return func(t *testing.T) *deployment {
			*c = redistest.StartCluster(t, true, durable...)
			return clusterDeployment(*c, 2, "?wait=1")
		}
	}
	withoutReplicas := func(c **redistest.Cluster) func(t *testing.T) *deployment {
		return func(t *testing.T) *deployment {
			*c = redistest.StartCluster(t, false, durable...)
			return clusterDeployment(*c, 2, "")
		}
	}
	trials := map[string]trial{
		"a primary is lost and its replica is promoted": {withReplicas(&replicated), func(r *run) fault { return r.primaryLost(replicated) }},
		"slots move under load":                         {withoutReplicas(&single), func(r *run) fault { return r.slotsMove(single) }},
	}
	for _, name := range longOnly("subscribers are disconnected", "scripts are flushed") {
		var c *redistest.Cluster
		trials[name] = trial{withoutReplicas(&c), func(r *run) fault { return faultNamed(r.commonFaults(), name) }}
	}
	var hanging *redistest.Cluster
	trials["a node hangs"] = trial{withoutReplicas(&hanging), (*run).nodeHangs}
	runTrials(t, trials)
}
