package checker_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// behind are the faults of instances that share what Sentinels name.
func (r *run) behind(s *redistest.Sentinels) []fault {
	return append(r.everywhere(),
		r.failover(s, "the primary is killed", (*redistest.Server).Kill, (*redistest.Server).Restart),
		r.failover(s, "the primary hangs", (*redistest.Server).Stop, (*redistest.Server).Cont),
		r.failover(s, "the primary is demoted and goes on answering",
			func(p *redistest.Server) { s.Cut(p, true) }, func(p *redistest.Server) { s.Cut(p, false) }),
		fault{name: "the replica is killed", on: "redis", sign: refusing("replicas"), begin: func(*rand.Rand) func() {
			_, replica := roles(s)
			replica.Kill()
			return func() {
				replica.Restart()
				r.whole(s)
			}
		}},
	)
}

// failover is a fault after which the other server is the primary.
func (r *run) failover(s *redistest.Sentinels, name string, begin, end func(primary *redistest.Server)) fault {
	told := sign{stale: always, log: "redis: primaries changed"}
	if _, heir := roles(s); heir != nil {
		told.figure = grows(usable(heir))
	}
	return fault{name: name, on: "redis", split: true, sign: told, begin: func(*rand.Rand) func() {
		primary, replica := roles(s)
		begin(primary)
		processtest.Eventually(r.t, "the replica is promoted", func() bool { return s.Names() == replica.Addr })
		return func() {
			end(primary)
			r.whole(s)
		}
	}}
}

// whole waits until a primary is agreed on and the other server follows it.
func (r *run) whole(s *redistest.Sentinels) {
	processtest.Eventually(r.t, "a primary and a replica", func() bool {
		primary, replica := roles(s)
		return primary != nil && follows(replica)
	})
}

// setBack lets the clocks of both servers, which were ahead, be set right, and then a
// replica be promoted that has not got the newest writes: it gives versions again
// that were given before, for other counts.
func (r *run) setBack(s *redistest.Sentinels) fault {
	told := sign{stale: always, figure: growsSomewhere(reissues), log: "redis: cannot be used"}
	return fault{name: "the clock is set back, and a failover loses the newest writes", split: true, forgets: true, clock: true, sign: told,
		begin: func(*rand.Rand) func() {
			primary, replica := roles(s)
			for _, server := range s.Servers {
				server.SetClock(0)
			}
			r.underWay(now()) // versions go on above the clock, by one each
			replica.Stop()
			primary.Do("CLIENT", "KILL", "TYPE", "replica")
			r.underWay(now()) // what the replica will not have
			primary.Kill()
			replica.Cont()
			processtest.Eventually(r.t, "the replica is promoted", func() bool { return s.Names() == replica.Addr })
			return func() {
				primary.Restart()
				r.whole(s)
			}
		}}
}

// roles returns the primary that the Sentinels agree on, nil while they do not, and
// the other server.
func roles(s *redistest.Sentinels) (primary, replica *redistest.Server) {
	switch s.Names() {
	case s.Servers[0].Addr:
		return s.Servers[0], s.Servers[1]
	case s.Servers[1].Addr:
		return s.Servers[1], s.Servers[0]
	}
	return nil, nil
}

// follows tells whether a server is a replica that has what its primary has.
func follows(s *redistest.Server) bool {
	reply, err := s.Try("INFO", "replication")
	text, _ := reply.(string)
	return err == nil && strings.Contains(text, "master_link_status:up")
}

func TestSentinels(t *testing.T) {
	t.Parallel()
	trials := map[string]trial{}
	for _, name := range []string{
		"the primary is killed", "the primary hangs", "the primary is demoted and goes on answering", "the replica is killed",
		"subscribers are cut off", "scripts are flushed",
	} {
		var sentinels *redistest.Sentinels
		trials[name] = trial{func(t *testing.T) *scene {
			sentinels = redistest.StartSentinels(t, durable...)
			return watched(sentinels, 2, "?wait=1")
		}, func(r *run) fault { return of(r.behind(sentinels), name) }}
	}
	var sentinels *redistest.Sentinels
	trials["the clock is set back, and a failover loses the newest writes"] = trial{func(t *testing.T) *scene {
		sentinels = redistest.StartSentinelsWithClocks(t, durable...)
		for _, server := range sentinels.Servers {
			server.SetClock(time.Hour)
		}
		return watched(sentinels, 2, "")
	}, func(r *run) fault { return r.setBack(sentinels) }}
	stand(t, trials)
}
