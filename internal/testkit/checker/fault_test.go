package checker_test

import (
	"math/rand/v2"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// fault is a kind of fault. The nemesis injects several at random; a trial injects one,
// see [run.runTrial].
type fault struct {
	name string
	// target is what the fault affects. Faults at the same time have different targets.
	target string
	// begin injects the fault and returns a function that ends it and waits until it
	// ended; nil if the fault is over at once. Without random it picks the first target.
	begin func(random *rand.Rand) (end func())

	split, losesData, setsClock bool // see [checker.Fault]

	// The fields below are for trials.
	minDuration time.Duration
	// unaffected reports whether a write must be acknowledged fast during the fault.
	unaffected func(checker.Write) bool
	// overloaded is the slowness of a machine above which such a write may fail; 0 for the
	// constant overloaded.
	overloaded time.Duration
	signals    signals
}

// signals are what operators and viewers see of a fault.
type signals struct {
	// instances returns the instances that detect the fault; nil for all. The others show
	// no signals.
	instances func() []*processtest.Instance
	// stale is whether viewers receive stale.
	stale staleness
	// readyz is a part of /readyz during the fault.
	readyz string
	// metric is the metric that changes.
	metric metricChange
	// log is a part of one warning or error; empty if there is none.
	log string
}

// staleness is whether viewers receive stale.
type staleness int

const (
	never  staleness = iota
	always           // all viewers
	maybe            // only if an instance needs a new connection
)

// metricChange is a metric and the change that a fault causes.
type metricChange struct {
	name    string
	detects func(before, now float64) bool
	// anyInstance means that the metric of one instance changes, not of all.
	anyInstance bool
}

func decreases(name string) metricChange {
	return metricChange{name: name, detects: func(before, now float64) bool { return now < before }}
}

func increases(name string) metricChange {
	return metricChange{name: name, detects: func(before, now float64) bool { return now > before }}
}

func increasesAnywhere(name string) metricChange {
	f := increases(name)
	f.anyInstance = true
	return f
}

// Metrics of several faults.
const (
	storeUp    = "tallycast_store_up"
	reconnects = "tallycast_redis_reconnects_total"
	reissues   = "tallycast_redis_reissues_total"
	reloads    = "tallycast_redis_script_reloads_total"
)

// storeAway are the signals of a store that cannot be reached.
func storeAway(log string) signals {
	return signals{stale: always, readyz: `"store":{"status":"away"`, metric: decreases(storeUp), log: log}
}

// writesRefused are the signals of a store that refuses writes. Counts stay correct.
func writesRefused(why string) signals {
	return signals{readyz: why, metric: decreases(storeUp), log: why}
}

// onFirstInstance returns the signals for the first instance only.
func (r *run) onFirstInstance(s signals) signals {
	s.instances = func() []*processtest.Instance { return r.instances[:1] }
	return s
}

// throughOtherInstances reports whether a write is not through the first instance.
func throughOtherInstances(w checker.Write) bool { return w.Instance > 0 }

// instanceKilled kills an instance and starts it again.
func (r *run) instanceKilled() fault {
	return fault{name: "an instance is killed", target: "instance", unaffected: throughOtherInstances,
		signals: signals{instances: func() []*processtest.Instance { return nil }},
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

// commandFault sends a command to all servers. It is over at once.
func (r *run) commandFault(name string, sign signals, command ...any) fault {
	return fault{name: name, target: "commands", signals: sign, begin: func(*rand.Rand) func() {
		for _, s := range r.servers {
			_, _ = s.Try(command...) // a server may hang or be down
		}
		return nil
	}}
}

// commonFaults are the faults of every kind of Redis deployment.
func (r *run) commonFaults() []fault {
	return []fault{
		r.commandFault("subscribers are disconnected", signals{stale: always, metric: increases(reconnects), log: "SUBSCRIBE"}, "CLIENT", "KILL", "TYPE", "pubsub"),
		r.commandFault("scripts are flushed", signals{metric: increasesAnywhere(reloads)}, "SCRIPT", "FLUSH"),
	}
}

// singleServerFaults are the faults of a Redis without a replica.
func (r *run) singleServerFaults() []fault {
	server := r.servers[0]
	return append(r.commonFaults(),
		fault{name: "Redis is killed", target: "redis", signals: storeAway("redis: cannot be used"), begin: func(*rand.Rand) func() {
			server.Kill()
			return server.Restart
		}},
		fault{name: "Redis hangs", target: "redis", minDuration: 10 * time.Second, signals: storeAway("redis: cannot be used"), begin: func(*rand.Rand) func() {
			server.Suspend()
			return server.Resume
		}},
	)
}

// faultNamed returns the fault with a name.
func faultNamed(faults []fault, name string) fault {
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	panic("there is no fault " + name)
}

// pickProxies returns the first proxy, or with random also others.
func (r *run) pickProxies(random *rand.Rand) []*redistest.Proxy {
	if random == nil {
		return r.proxies[:1]
	}
	return r.proxies[:1+random.IntN(len(r.proxies))]
}

// networkFault is a fault of the network between the first instance and Redis.
func (r *run) networkFault(name string, s signals, begin, end func(*redistest.Proxy)) fault {
	return fault{name: name, target: "network", signals: r.onFirstInstance(s), unaffected: throughOtherInstances, begin: func(random *rand.Rand) func() {
		hit := r.pickProxies(random)
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

// lossFault drops flows. At its end it cuts the affected connections, because these cannot
// continue.
func (r *run) lossFault(name, log string, flows ...redistest.Flow) fault {
	return r.networkFault(name, storeAway(log),
		func(p *redistest.Proxy) { p.Lose(true, flows...) },
		func(p *redistest.Proxy) {
			p.Lose(false, flows...)
			p.Cut()
		})
}
