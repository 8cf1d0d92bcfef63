package checker_test

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// fault is one way in which things break. The nemesis lets faults come at random and
// together; a trial lets one come alone, see [run.stands].
type fault struct {
	name string
	// on is what it breaks; two faults at the same time are of different things.
	on string
	// begin breaks it; the function that it returns mends it and returns when it is
	// mended. Without random it breaks the first of what it may break. One that is over
	// at once returns nil.
	begin func(random *rand.Rand) (end func())

	split, forgets, clock bool // see [checker.Fault]

	// What follows is for trials.

	// lasts is how long it lasts at least.
	lasts time.Duration
	// spares are writes that are acknowledged, and promptly, all the while.
	spares func(checker.Write) bool
	sign   sign
}

// sign is what people are told of a fault.
type sign struct {
	// by are the instances that notice it, nil for all. The others show nothing.
	by func() []*processtest.Instance
	// stale says whether viewers are told that numbers may be old.
	stale telling
	// ready is what /readyz says of a fault that lasts, until it is mended.
	ready string
	// figure tells of it in /metrics.
	figure figure
	// log is what one line says, as a warning or an error; empty where nothing is wrong.
	log string
}

// telling is whether viewers are told of a fault.
type telling int

const (
	never  telling = iota // nothing that they are shown is wrong
	always                // all are
	maybe                 // it depends on whether an instance needs a new connection
)

// figure is a line of /metrics that tells of a fault.
type figure struct {
	name  string
	tells func(before, now float64) bool
	// shared figures tell of it at one of the instances: what one did for all.
	shared bool
}

func falls(name string) figure {
	return figure{name: name, tells: func(before, now float64) bool { return now < before }}
}

func grows(name string) figure {
	return figure{name: name, tells: func(before, now float64) bool { return now > before }}
}

func growsSomewhere(name string) figure {
	f := grows(name)
	f.shared = true
	return f
}

// Figures of several faults.
const (
	storeUp    = "tallycast_store_up"
	reconnects = "tallycast_redis_reconnects_total"
	reissues   = "tallycast_redis_reissues_total"
	reloads    = "tallycast_redis_script_reloads_total"
)

// away is the sign of a store that cannot be reached.
func away(log string) sign {
	return sign{stale: always, ready: `"store":{"status":"away"`, figure: falls(storeUp), log: log}
}

// refusing is the sign of a store that takes no writes and says why; what is shown
// stays true.
func refusing(why string) sign {
	return sign{ready: why, figure: falls(storeUp), log: why}
}

// atFirst is a sign that the first instance alone shows.
func (r *run) atFirst(s sign) sign {
	s.by = func() []*processtest.Instance { return r.instances[:1] }
	return s
}

// throughOthers are writes through another instance than the first.
func throughOthers(w checker.Write) bool { return w.Instance > 0 }

// killedInstance ends an instance as a crash does and starts it again.
func (r *run) killedInstance() fault {
	return fault{name: "an instance is killed", on: "instance", spares: throughOthers,
		sign: sign{by: func() []*processtest.Instance { return nil }},
		begin: func(random *rand.Rand) func() {
			i := 0
			if random != nil {
				i = random.IntN(len(r.instances))
			}
			r.instances[i].Kill()
			return func() {
				r.launch(i)
				r.instances[i].AwaitReady()
			}
		}}
}

// commanded is a fault that a command to servers is, and that is over at once.
func (r *run) commanded(name string, sign sign, command ...any) fault {
	return fault{name: name, on: "commands", sign: sign, begin: func(*rand.Rand) func() {
		for _, s := range r.servers {
			_, _ = s.Try(command...) // one that hangs or is gone is broken enough
		}
		return nil
	}}
}

// everywhere are the faults that a Redis has in each of its shapes.
func (r *run) everywhere() []fault {
	return []fault{
		r.commanded("subscribers are cut off", sign{stale: always, figure: grows(reconnects), log: "SUBSCRIBE"}, "CLIENT", "KILL", "TYPE", "pubsub"),
		r.commanded("scripts are flushed", sign{figure: growsSomewhere(reloads)}, "SCRIPT", "FLUSH"),
	}
}

// alone are the faults of a Redis that has no replica.
func (r *run) alone() []fault {
	server := r.servers[0]
	return append(r.everywhere(),
		fault{name: "Redis is killed", on: "redis", sign: away("redis: cannot be used"), begin: func(*rand.Rand) func() {
			server.Kill()
			return server.Restart
		}},
		fault{name: "Redis hangs", on: "redis", lasts: 10 * time.Second, sign: away("redis: cannot be used"), begin: func(*rand.Rand) func() {
			server.Stop()
			return server.Cont
		}},
	)
}

// of returns the fault of that name.
func of(faults []fault, name string) fault {
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	panic("there is no fault of the name " + strings.ToUpper(name))
}

// proxiesHit returns the first proxy, or by chance more.
func (r *run) proxiesHit(random *rand.Rand) []*redistest.Proxy {
	if random == nil {
		return r.proxies[:1]
	}
	return r.proxies[:1+random.IntN(len(r.proxies))]
}

// onNetwork is a fault of the way between the first instance and Redis.
func (r *run) onNetwork(name string, s sign, begin, end func(*redistest.Proxy)) fault {
	return fault{name: name, on: "network", sign: r.atFirst(s), spares: throughOthers, begin: func(random *rand.Rand) func() {
		hit := r.proxiesHit(random)
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

// losing is a network that loses such things, until connections that lost some are
// cut: they cannot go on.
func (r *run) losing(name, log string, losses ...redistest.Loss) fault {
	return r.onNetwork(name, away(log),
		func(p *redistest.Proxy) { p.Lose(true, losses...) },
		func(p *redistest.Proxy) {
			p.Lose(false, losses...)
			p.Cut()
		})
}
