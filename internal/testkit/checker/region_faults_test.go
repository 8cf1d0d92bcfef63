package checker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// regions are a primary with an instance beside it, and a replica with two.
type regions struct {
	*deployment
	replica *redistest.Server
	link    *redistest.Proxy // from the replica to the primary
}

// regionTrip is the round trip between the regions.
const regionTrip = 60 * time.Millisecond

func startRegions(t testing.TB) *regions {
	t.Helper()
	primary := redistest.StartPrimary(t, redistest.Options{Args: durable})
	g := &regions{
		deployment: &deployment{servers: []*redistest.Server{primary}, nodeOf: func(string) *redistest.Server { return primary }},
		link:       redistest.StartProxy(t, primary.Addr),
	}
	g.link.Delay(regionTrip / 2)
	g.replica = redistest.StartReplica(t, g.link.Addr, redistest.Options{})
	g.stores, g.replicas = []string{primary.URL(0)}, []string{""}
	for range 2 {
		line := redistest.StartProxy(t, primary.Addr)
		line.Delay(regionTrip / 2)
		g.proxies = append(g.proxies, line)
		g.stores, g.replicas = append(g.stores, "redis://"+line.Addr+"/0"), append(g.replicas, g.replica.URL(0))
	}
	g.readFromRedis()
	return g
}

// faults are the faults of the replica and of the links to the primary.
func (g *regions) faults() []fault {
	replicaFault := func(name string, begin, end func()) fault {
		return fault{name: name, target: "replica", begin: func(*rand.Rand) func() { begin(); return end }}
	}
	return []fault{
		replicaFault("the replica is killed", g.replica.Kill, g.replica.Restart),
		replicaFault("the replica hangs", g.replica.Suspend, g.replica.Resume),
		replicaFault("the replica is promoted", func() { g.replica.Replicate("") }, func() { g.replica.Replicate(g.link.Addr) }),
		replicaFault("the replica is emptied", func() {
			g.replica.Replicate("")
			g.replica.Do("FLUSHALL")
		}, func() { g.replica.Replicate(g.link.Addr) }),
		replicaFault("the replica resynchronises in full", func() {
			g.replica.Replicate("")
			g.replica.Do("SET", "other", "")
			g.replica.Replicate(g.link.Addr)
		}, nil),
		replicaFault("the replica lags", func() { g.link.Delay(4 * time.Second) }, func() {
			g.link.Delay(regionTrip / 2)
			g.link.Cut()
		}),
		replicaFault("the replica loses its link", func() { g.link.BlackHole(true) }, func() {
			g.link.BlackHole(false)
			g.link.Cut()
		}),
		{name: "the region loses its links", target: "network", begin: func(*rand.Rand) func() {
			links := append([]*redistest.Proxy{g.link}, g.proxies...)
			for _, p := range links {
				p.BlackHole(true)
			}
			return func() {
				for _, p := range links {
					p.BlackHole(false)
					p.Cut()
				}
			}
		}},
	}
}

// Random faults of a replica and of the links between regions break no promise.
func TestSchedule_Regions(t *testing.T) {
	t.Parallel()
	seed, duration := schedule(t)
	g := startRegions(t)
	r := newRun(t, seed, g.deployment, load{visitors: scheduleLoad.visitors / 2, viewers: scheduleLoad.viewers / 2, pause: scheduleLoad.pause})
	faults := append(g.faults(), r.instanceKilled(), faultNamed(r.singleServerFaults(), "Redis is killed"))
	r.runSchedule(&nemesis{run: r, faults: faults, maxDuration: 4 * time.Second}, duration)
}
