package checker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// aroundOne are the faults of instances that reach one Redis, each through its proxy.
func (r *run) aroundOne() []fault {
	const unreachable = "redis: cannot be used"
	lost := func(d redistest.Direction, t redistest.Traffic) redistest.Loss {
		return redistest.Loss{Direction: d, Traffic: t}
	}
	all := func(d redistest.Direction) []redistest.Loss {
		return []redistest.Loss{lost(d, redistest.Commands), lost(d, redistest.PubSub)}
	}
	silent := sign{stale: always, ready: "does not come back", figure: grows("tallycast_redis_probes_lost_total"), log: "does not come back"}
	slow := figure{name: `tallycast_redis_round_trip_seconds{node="` + r.proxies[0].Addr + `"}`, tells: func(_, now float64) bool { return now > 0.4 }}
	deaf := r.losing("what Redis sends is lost, of Pub/Sub", "", lost(redistest.FromServer, redistest.PubSub))
	deaf.sign = r.atFirst(silent)
	mute := r.losing("what Redis is sent is lost, of Pub/Sub", "", lost(redistest.ToServer, redistest.PubSub))
	mute.sign = r.atFirst(sign{stale: always, ready: "SUBSCRIBE", figure: grows(reconnects), log: "SUBSCRIBE is not answered"})
	lose := mute.begin
	mute.begin = func(random *rand.Rand) func() {
		find := lose(random)
		leave := r.glance(0, "default/likes/new") // which Redis is to be told, and is not
		return func() {
			find()
			leave()
		}
	}
	return []fault{
		r.losing("what Redis sends is lost", unreachable, all(redistest.FromServer)...),
		r.losing("what Redis is sent is lost", unreachable, all(redistest.ToServer)...),
		r.losing("what Redis sends is lost, of commands", unreachable, lost(redistest.FromServer, redistest.Commands)),
		r.losing("what Redis is sent is lost, of commands", unreachable, lost(redistest.ToServer, redistest.Commands)),
		deaf,
		mute,
		r.onNetwork("subscriptions fall silent", sign{stale: always, figure: grows("tallycast_redis_probes_lost_total"), log: "does not come back"},
			(*redistest.Proxy).Silence, nil),
		r.onNetwork("connections are cut", sign{stale: always, figure: grows(reconnects), log: unreachable}, (*redistest.Proxy).Cut, nil),
		r.onNetwork("replies break off in the middle", sign{stale: always, figure: grows(reconnects), log: unreachable},
			func(p *redistest.Proxy) { p.CutReplies(20) }, func(p *redistest.Proxy) { p.CutReplies(0) }),
		r.onNetwork("the network takes 500 ms", sign{ready: "slow", figure: slow, log: "slow"},
			func(p *redistest.Proxy) { p.Delay(250 * time.Millisecond) }, // in each direction
			func(p *redistest.Proxy) { p.Delay(0) }),
		r.commanded("all clients are cut off", sign{figure: figure{}}, "CLIENT", "KILL", "TYPE", "normal"),
	}
}

// set is a fault that commands to the one Redis make and take back.
func (r *run) set(name string, sign sign, begin, end []any) fault {
	server := r.servers[0]
	return fault{name: name, on: "settings", sign: sign, begin: func(*rand.Rand) func() {
		server.Do(begin...)
		return func() { server.Do(end...) }
	}}
}

// restarted kills Redis, changes its data and starts it.
func (r *run) restarted(name string, before, meanwhile func(*redistest.Server)) fault {
	server := r.servers[0]
	return fault{name: name, on: "redis", forgets: true, sign: away("redis: cannot be used"), begin: func(*rand.Rand) func() {
		before(server)
		server.Kill()
		return func() {
			meanwhile(server)
			server.Restart()
		}
	}}
}

// flooded lets instances take what Redis publishes too slowly.
func (r *run) flooded() fault {
	const limit = "client-output-buffer-limit"
	s := sign{stale: always, figure: grows(reconnects), log: limit}
	return fault{name: "subscribers are too slow", on: "network", sign: s, begin: func(*rand.Rand) func() {
		server := r.servers[0]
		server.Do("CONFIG", "SET", limit, "pubsub 1mb 0 0")
		for _, p := range r.proxies {
			p.Delay(50 * time.Millisecond) // for each piece of some KB
		}
		channel := ""
		for _, name := range server.Do("PUBSUB", "CHANNELS", "tally*gossip*").([]any) {
			channel = fmt.Sprint(name)
		}
		flood := strings.Repeat("x", 1<<20)
		for range 16 {
			server.Do("PUBLISH", channel, flood)
		}
		return func() {
			for _, p := range r.proxies {
				p.Delay(0)
			}
			server.Do("CONFIG", "SET", limit, "pubsub 32mb 8mb 60")
		}
	}}
}

// strange starts one more instance with other flags; where it is refused it tells why.
func (r *run) strange(name string, s sign, args func() []string, check func(*processtest.Instance)) fault {
	var stranger *processtest.Instance
	s.by = func() []*processtest.Instance {
		if s.log == "" {
			return nil
		}
		return []*processtest.Instance{stranger}
	}
	return fault{name: name, on: "strangers", sign: s, begin: func(*rand.Rand) func() {
		stranger = processtest.Serve(r.t, binary, nil, args()...)
		check(stranger)
		return func() {}
	}}
}

// like presses the heart of a topic through an instance, and returns the status.
func like(t testing.TB, i *processtest.Instance, topic, visitor string) int {
	t.Helper()
	response, err := post(i.URL+"/v1/"+topic, visitor)
	if err != nil {
		t.Error(err)
	}
	return response
}

func TestOneRedis(t *testing.T) {
	t.Parallel()
	durably := func(t *testing.T) *scene { return proxied(t, 2, durable...) }
	volatile := func(t *testing.T) *scene { return proxied(t, 2) }
	trials := map[string]trial{
		"restarted empty": {volatile, func(r *run) fault {
			return r.restarted("Redis comes back empty", func(*redistest.Server) {}, (*redistest.Server).Empty)
		}},
		"restarted from an older file": {volatile, func(r *run) fault {
			return r.restarted("Redis comes back older", func(s *redistest.Server) {
				s.Do("SAVE")
				r.underWay(now())
			}, func(*redistest.Server) {})
		}},
		"a subscriber too slow for the output buffer limit": {durably, (*run).flooded},
		"out of memory": {durably, func(r *run) fault {
			return r.set("Redis has no memory left", refusing("out of memory"),
				[]any{"CONFIG", "SET", "maxmemory", "1mb"}, []any{"CONFIG", "SET", "maxmemory", "0"})
		}},
		"a read-only replica": {durably, func(r *run) fault {
			_, port, _ := strings.Cut(processtest.FreeAddress(r.t), ":")
			told := refusing("read-only replica")
			told.stale = maybe
			return r.set("Redis becomes a replica", told,
				[]any{"REPLICAOF", "127.0.0.1", port}, []any{"REPLICAOF", "NO", "ONE"})
		}},
		"two secrets": {durably, func(r *run) fault {
			return r.strange("an instance has another secret", sign{ready: "secret", figure: grows("tallycast_store_conflict"), log: "secret"},
				func() []string { return []string{"--store", r.stores[0], "--secret", "another-secret-of-ours"} },
				func(i *processtest.Instance) {
					processtest.Eventually(r.t, "the refusal", func() bool { return i.Metric("tallycast_ready") == 0 })
					if status := like(r.t, i, "default/likes/a", "visitor-000"); status != 503 {
						r.t.Errorf("a like under another secret was answered %d", status)
					}
				})
		}},
		"a staging instance on another database": {durably, func(r *run) fault {
			return r.strange("staging shares the Redis", sign{},
				func() []string { return []string{"--store", r.servers[0].URL(5), "--site", "blog"} },
				func(i *processtest.Instance) {
					i.AwaitReady()
					for _, topic := range r.names {
						if status := like(r.t, i, topic, "visitor-of-staging"); status != 200 {
							r.t.Errorf("a like of %s in staging was answered %d", topic, status)
						}
					}
					if n := r.servers[0].Do("DBSIZE"); n == int64(0) {
						r.t.Error("the database is empty")
					}
				})
		}},
	}
	// The names are those of faults, whose run is made for the trial.
	for _, name := range []string{"Redis is killed", "Redis hangs", "subscribers are cut off", "scripts are flushed"} {
		trials[name] = trial{durably, func(r *run) fault { return of(r.alone(), name) }}
	}
	for _, name := range []string{
		"what Redis sends is lost, of commands", "what Redis is sent is lost, of commands",
		"what Redis sends is lost, of Pub/Sub", "what Redis is sent is lost, of Pub/Sub", "what Redis sends is lost",
		"what Redis is sent is lost", "subscriptions fall silent", "connections are cut", "replies break off in the middle",
		"the network takes 500 ms",
	} {
		trials[name] = trial{durably, func(r *run) fault { return of(r.aroundOne(), name) }}
	}
	trials["an instance is killed"] = trial{durably, (*run).killedInstance}
	stand(t, trials)
}

func TestOneRedisThatKnowsUsers(t *testing.T) {
	t.Parallel()
	scene := func(t *testing.T) *scene { return encrypted(t, 2) }
	trials := map[string]trial{}
	for right, named := range map[string]string{"publish": "PUBLISH", "hset": "HSET", "evalsha": "evalsha"} {
		trials["the right to "+right+" is missing"] = trial{scene, func(r *run) fault {
			told := refusing(named)
			if right == "publish" {
				told.stale = always // what others write is not heard
			}
			return r.set("a right is taken away", told,
				[]any{"ACL", "SETUSER", user, "-" + right}, []any{"ACL", "SETUSER", user, "+" + right})
		}}
	}
	for _, name := range []string{"Redis is killed", "Redis hangs", "subscribers are cut off", "scripts are flushed"} {
		trials[name] = trial{scene, func(r *run) fault { return of(r.alone(), name) }}
	}
	stand(t, trials)
}
