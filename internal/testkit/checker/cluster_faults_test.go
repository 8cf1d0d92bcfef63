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

// elsewhere returns what tells whether a write is to a topic of another node.
func (r *run) elsewhere(node *redistest.Server) func(checker.Write) bool {
	there := map[string]bool{}
	for _, topic := range r.names {
		there[topic] = r.holder(topic) == node
	}
	return func(w checker.Write) bool { return !there[w.Topic] }
}

// usable is the figure of a node.
func usable(node *redistest.Server) string {
	return `tallycast_redis_node_usable{node="` + node.Addr + `"}`
}

// lost kills a primary, whose replica is promoted; it comes back as a replica of that.
func (r *run) lost(cluster *redistest.Cluster) fault {
	node := r.holder(r.names[0])
	heir := cluster.Replicas[slices.Index(cluster.Primaries, node)]
	return fault{name: "a primary is lost and its replica is promoted", split: true,
		sign: sign{stale: always, figure: grows(reconnects), log: node.Addr}, spares: r.elsewhere(node),
		begin: func(*rand.Rand) func() {
			node.Kill()
			processtest.Eventually(r.t, "the replica is promoted", func() bool { return r.holder(r.names[0]) == heir })
			return func() {
				node.Restart()
				processtest.Eventually(r.t, "it follows its heir", func() bool { return follows(node) })
			}
		}}
}

// hung stops a node for a while; the others keep their latency.
func (r *run) hung() fault {
	node := r.holder(r.names[0])
	return fault{name: "a node hangs", lasts: 10 * time.Second, spares: r.elsewhere(node),
		sign: sign{stale: always, ready: node.Addr, figure: falls(usable(node)), log: node.Addr},
		begin: func(*rand.Rand) func() {
			node.Stop()
			return node.Cont
		}}
}

// moved moves the slots of all topics that a node holds, a topic at a time.
func (r *run) moved(cluster *redistest.Cluster) fault {
	all := func(checker.Write) bool { return true }
	return fault{name: "slots move", spares: all, begin: func(*rand.Rand) func() {
		from := r.holder(r.names[0])
		to := cluster.Primaries[(slices.Index(cluster.Primaries, from)+1)%len(cluster.Primaries)]
		for _, topic := range r.names {
			if r.holder(topic) != from {
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

func TestCluster(t *testing.T) {
	t.Parallel()
	var replicated, bare *redistest.Cluster
	secured := func(c **redistest.Cluster) func(t *testing.T) *scene {
		return func(t *testing.T) *scene {
			*c = redistest.StartCluster(t, true, durable...)
			return spread(*c, 2, "?wait=1")
		}
	}
	single := func(c **redistest.Cluster) func(t *testing.T) *scene {
		return func(t *testing.T) *scene {
			*c = redistest.StartCluster(t, false, durable...)
			return spread(*c, 2, "")
		}
	}
	trials := map[string]trial{
		"a primary is lost and its replica is promoted": {secured(&replicated), func(r *run) fault { return r.lost(replicated) }},
		"slots move under load":                         {single(&bare), func(r *run) fault { return r.moved(bare) }},
	}
	for _, name := range []string{"subscribers are cut off", "scripts are flushed"} {
		var c *redistest.Cluster
		trials[name] = trial{single(&c), func(r *run) fault { return of(r.everywhere(), name) }}
	}
	var hanging *redistest.Cluster
	trials["a node hangs"] = trial{single(&hanging), (*run).hung}
	stand(t, trials)
}
