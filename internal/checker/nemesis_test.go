package checker_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/checker"
	"github.com/tallycast/tallycast/internal/processtest"
	"github.com/tallycast/tallycast/internal/redistest"
)

// fault is one way in which things break.
type fault struct {
	name string
	// on is what it breaks; two faults at the same time are of different things.
	on string
	// begin breaks it; the function that it returns mends it and returns when it is
	// mended.
	begin func(random *rand.Rand) (end func())
	split bool // two stores may answer
}

// onInstance is what breaks where instances do.
const onInstance = "instance"

// nemesis breaks things, one after the other and sometimes two at once. It is of
// the test's goroutine.
type nemesis struct {
	run    *run
	faults []fault
	// longest is how long a fault may last, beside what mending takes.
	longest time.Duration
}

// rage breaks things for that long and mends all of them.
func (n *nemesis) rage(random *rand.Rand, lasting time.Duration) {
	wait(time.Second) // for something to break
	order := random.Perm(len(n.faults))
	for began, i := time.Now(), 0; time.Since(began) < lasting; i++ {
		if i > 0 && i%len(order) == 0 {
			order = random.Perm(len(n.faults))
		}
		first := n.faults[order[i%len(order)]]
		second := n.faults[random.IntN(len(n.faults))]
		both, lasts, calm := random.IntN(3) == 0 && first.on != second.on, random.Float64(), random.IntN(3) == 0
		pause := time.Duration(random.IntN(1500)) * time.Millisecond
		if calm { // long enough for viewers that were not told to be found
			pause += checker.Soon * time.Microsecond
		}
		struck := []fault{first}
		if both {
			struck = append(struck, second)
		}
		if both && second.on == onInstance {
			slices.Reverse(struck) // what it needs to be ready is mended before it
		}
		n.strike(random, struck, time.Duration(lasts*float64(n.longest)))
		wait(pause)
	}
}

// strike breaks things together, and mends them after a while, the last one first.
func (n *nemesis) strike(random *rand.Rand, faults []fault, lasts time.Duration) {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	event := checker.Fault{Name: strings.Join(names, ", and "), Began: now()}
	n.run.t.Logf("%s: %s", time.Now().Format("15:04:05.000"), event.Name)
	var ends []func()
	for _, f := range faults {
		event.Split = event.Split || f.split
		if end := f.begin(random); end != nil {
			ends = append(ends, end)
		}
	}
	if len(ends) > 0 {
		wait(lasts)
	}
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	event.Ended = now()
	n.run.record.broke(event)
	n.run.t.Logf("mended after %s", time.Duration(event.Ended-event.Began)*time.Microsecond)
}

// wait lets time pass: what is tested is what happens meanwhile.
func wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// killInstance ends an instance as a crash does and starts it again.
func (r *run) killInstance() fault {
	return fault{name: "an instance is killed", on: onInstance, begin: func(random *rand.Rand) func() {
		i := random.IntN(instances)
		r.instances[i].Kill9()
		return func() {
			r.launch(i)
			r.instances[i].AwaitReady()
		}
	}}
}

// commanded is a fault that a command to servers is, and that is over at once.
func commanded(name string, servers func() []*redistest.Server, command ...any) fault {
	return fault{name: name, on: "commands", begin: func(*rand.Rand) func() {
		for _, s := range servers() {
			_, _ = s.Try(command...) // one that hangs or is gone is broken enough
		}
		return nil
	}}
}

// oneRedis are the faults of instances that share one Redis, each through its proxy.
func (r *run) oneRedis(server *redistest.Server, proxies []*redistest.Proxy) []fault {
	servers := func() []*redistest.Server { return []*redistest.Server{server} }
	// found is the end of a network that loses things: connections that lost some
	// cannot go on, and both sides are told.
	found := func(p *redistest.Proxy) {
		p.BlackHole(false)
		p.Swallow(false)
		p.Cut()
	}
	proxied := func(name string, begin func(p *redistest.Proxy), end func(p *redistest.Proxy)) fault {
		return fault{name: name, on: "network", begin: func(random *rand.Rand) func() {
			hit := proxies[:1+random.IntN(len(proxies))] // one of them, or more, or all
			for _, p := range hit {
				begin(p)
			}
			if end == nil {
				return nil
			}
			return func() {
				for _, p := range hit {
					end(p)
				}
			}
		}}
	}
	return []fault{
		r.killInstance(),
		{name: "Redis is killed", on: "redis", begin: func(*rand.Rand) func() {
			server.Kill9()
			return server.Restart
		}},
		{name: "Redis hangs", on: "redis", begin: func(*rand.Rand) func() {
			server.Stop()
			return server.Cont
		}},
		proxied("connections are cut", (*redistest.Proxy).Cut, nil),
		proxied("replies break off in the middle", func(p *redistest.Proxy) { p.CutReplies(20) }, func(p *redistest.Proxy) { p.CutReplies(0) }),
		proxied("what Redis sends is lost", func(p *redistest.Proxy) { p.BlackHole(true) }, found),
		proxied("what Redis is sent is lost", func(p *redistest.Proxy) { p.Swallow(true) }, found),
		proxied("subscriptions fall silent", (*redistest.Proxy).Silence, found),
		proxied("the network takes 500 ms", func(p *redistest.Proxy) { p.Delay(500 * time.Millisecond) }, func(p *redistest.Proxy) { p.Delay(0) }),
		commanded("subscribers are cut off", servers, "CLIENT", "KILL", "TYPE", "pubsub"),
		commanded("all clients are cut off", servers, "CLIENT", "KILL", "TYPE", "normal"),
		commanded("scripts are flushed", servers, "SCRIPT", "FLUSH"),
	}
}

// behindSentinels are the faults of instances that share what Sentinels name.
func (r *run) behindSentinels(s *redistest.Sentinels) []fault {
	servers := func() []*redistest.Server { return s.Servers }
	// whole waits until a primary is agreed on and the other server follows it.
	whole := func() {
		processtest.Eventually(r.t, "a primary and a replica", func() bool {
			primary, replica := roles(s)
			return primary != nil && follows(replica)
		})
	}
	// failover is a fault after which the other server is the primary.
	failover := func(name string, begin, end func(primary *redistest.Server)) fault {
		return fault{name: name, on: "redis", split: true, begin: func(*rand.Rand) func() {
			primary, replica := roles(s)
			begin(primary)
			processtest.Eventually(r.t, "the replica is promoted", func() bool { return s.Names() == replica.Addr })
			return func() {
				end(primary)
				whole()
			}
		}}
	}
	return []fault{
		r.killInstance(),
		failover("the primary is killed", (*redistest.Server).Kill9, (*redistest.Server).Restart),
		failover("the primary hangs", (*redistest.Server).Stop, (*redistest.Server).Cont),
		failover("the primary is demoted and goes on answering",
			func(p *redistest.Server) { s.Cut(p, true) }, func(p *redistest.Server) { s.Cut(p, false) }),
		{name: "the replica is killed", on: "redis", begin: func(*rand.Rand) func() {
			_, replica := roles(s)
			replica.Kill9()
			return func() {
				replica.Restart()
				whole()
			}
		}},
		commanded("subscribers are cut off", servers, "CLIENT", "KILL", "TYPE", "pubsub"),
		commanded("scripts are flushed", servers, "SCRIPT", "FLUSH"),
	}
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
