package checker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// sentinelFaults are the faults of a primary and a replica behind Sentinels.
func (r *run) sentinelFaults(s *redistest.Sentinels) []fault {
	return append(r.commonFaults(),
		r.failoverFault(s, "the primary is killed", (*redistest.Server).Kill, (*redistest.Server).Restart),
		r.failoverFault(s, "the primary hangs", (*redistest.Server).Suspend, (*redistest.Server).Resume),
		r.failoverFault(s, "the primary is demoted and still answers",
			func(p *redistest.Server) { s.Isolate(p, true) }, func(p *redistest.Server) { s.Isolate(p, false) }),
		fault{name: "the replica is killed", target: "redis", signals: writesRefused("replicas"), begin: func(*rand.Rand) func() {
			_, replica := roles(s)
			replica.Kill()
			return func() {
				replica.Restart()
				r.awaitReplication(s)
			}
		}},
	)
}

// failoverFault is a fault that makes Sentinels promote the replica.
func (r *run) failoverFault(s *redistest.Sentinels, name string, begin, end func(primary *redistest.Server)) fault {
	expected := signals{stale: always, log: "redis: primaries changed"}
	if _, replica := roles(s); replica != nil {
		expected.metric = increases(nodeUsableMetric(replica))
	}
	return fault{name: name, target: "redis", split: true, signals: expected, begin: func(*rand.Rand) func() {
		primary, replica := roles(s)
		s.FailOver(r.t, func() { begin(primary) }, replica)
		return func() {
			end(primary)
			r.awaitReplication(s)
		}
	}}
}

// awaitReplication waits until the Sentinels agree on a primary and the other server
// replicates it.
func (r *run) awaitReplication(s *redistest.Sentinels) {
	processtest.Eventually(r.t, "a primary and a replica", func() bool {
		primary, replica := roles(s)
		return primary != nil && replica.Follows()
	})
}

// clockSetBack corrects the clocks of both servers, which were ahead, and then promotes a
// replica without the newest writes. The replica gives old versions to new counts.
func (r *run) clockSetBack(s *redistest.Sentinels) fault {
	expected := signals{stale: always, metric: increasesAnywhere(reissues), log: "redis: cannot be used"}
	return fault{name: "the clock is set back, and a failover loses the newest writes", split: true, losesData: true, setsClock: true, signals: expected,
		begin: func(*rand.Rand) func() {
			primary, replica := roles(s)
			for _, server := range s.Servers {
				server.SetClock(0)
			}
			r.awaitTraffic(now()) // versions are above the clock and grow by one
			replica.Suspend()
			primary.Do("CLIENT", "KILL", "TYPE", "replica")
			r.awaitTraffic(now()) // the replica does not get these writes
			s.FailOver(r.t, func() {
				primary.Kill()
				replica.Resume()
			}, replica)
			return func() {
				primary.Restart()
				r.awaitReplication(s)
			}
		}}
}

// roles returns the primary that the Sentinels agree on and the other server; nil if they
// do not agree.
func roles(s *redistest.Sentinels) (primary, replica *redistest.Server) {
	switch s.PrimaryAddr() {
	case s.Servers[0].Addr:
		return s.Servers[0], s.Servers[1]
	case s.Servers[1].Addr:
		return s.Servers[1], s.Servers[0]
	}
	return nil, nil
}

// Each fault of a Redis behind Sentinels alone breaks no promise, and operators see it.
func TestFault_Sentinels(t *testing.T) {
	t.Parallel()
	trials := map[string]trial{}
	names := []string{
		"the primary is killed", "the primary hangs", "the primary is demoted and still answers", "the replica is killed",
	}
	for _, name := range append(names, longOnly("subscribers are disconnected", "scripts are flushed")...) {
		var sentinels *redistest.Sentinels
		trials[name] = trial{func(t *testing.T) *deployment {
			sentinels = redistest.StartSentinels(t, redistest.Options{Args: durable})
			return sentinelDeployment(sentinels, 2, "?wait=1")
		}, func(r *run) fault { return faultNamed(r.sentinelFaults(sentinels), name) }}
	}
	var sentinels *redistest.Sentinels
	trials["the clock is set back, and a failover loses the newest writes"] = trial{func(t *testing.T) *deployment {
		sentinels = redistest.StartSentinels(t, redistest.Options{Clock: true, Args: durable})
		for _, server := range sentinels.Servers {
			server.SetClock(time.Hour)
		}
		return sentinelDeployment(sentinels, 2, "")
	}, func(r *run) fault { return r.clockSetBack(sentinels) }}
	runTrials(t, trials)
}
