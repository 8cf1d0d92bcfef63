package checker_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// networkFaults are the faults between instances and one Redis. Each instance has a proxy.
func (r *run) networkFaults() []fault {
	const unreachable = "redis: cannot be used"
	flow := func(d redistest.Direction, t redistest.Traffic) redistest.Flow {
		return redistest.Flow{Direction: d, Traffic: t}
	}
	both := func(d redistest.Direction) []redistest.Flow {
		return []redistest.Flow{flow(d, redistest.Commands), flow(d, redistest.PubSub)}
	}
	silent := signals{stale: always, readyz: "do not arrive", metric: increases("tallycast_redis_probes_lost_total"), log: "do not arrive"}
	slow := metricChange{name: `tallycast_redis_round_trip_seconds{node="` + r.proxies[0].Addr + `"}`, detects: func(_, now float64) bool { return now > 0.4 }}
	lostMessages := r.lossFault("messages are lost", "", flow(redistest.FromServer, redistest.PubSub))
	lostMessages.signals = r.onFirstInstance(silent)
	lostSubscriptions := r.lossFault("subscriptions are lost", "", flow(redistest.ToServer, redistest.PubSub))
	lostSubscriptions.signals = r.onFirstInstance(signals{stale: always, readyz: "SUBSCRIBE", metric: increases(reconnects), log: "reply of Redis to SUBSCRIBE"})
	begin := lostSubscriptions.begin
	lostSubscriptions.begin = func(random *rand.Rand) func() {
		end := begin(random)
		leave := r.watchTopic(0, "default/likes/new") // causes a SUBSCRIBE, which is lost
		return func() {
			end()
			leave()
		}
	}
	cutReplies := r.networkFault("replies break off in the middle", signals{stale: always, metric: increases(reconnects), log: unreachable},
		func(p *redistest.Proxy) { p.CutReplies(20) }, func(p *redistest.Proxy) { p.CutReplies(0) })
	cutReplies.minDuration = 2 * time.Second // each subscription receives a message in this time
	return []fault{
		r.lossFault("replies and messages are lost", unreachable, both(redistest.FromServer)...),
		r.lossFault("commands and subscriptions are lost", unreachable, both(redistest.ToServer)...),
		r.lossFault("replies are lost", unreachable, flow(redistest.FromServer, redistest.Commands)),
		r.lossFault("commands are lost", unreachable, flow(redistest.ToServer, redistest.Commands)),
		lostMessages,
		lostSubscriptions,
		r.networkFault("subscriptions become silent", signals{stale: always, metric: increases("tallycast_redis_probes_lost_total"), log: "do not arrive"},
			(*redistest.Proxy).Silence, nil),
		r.networkFault("connections are cut", signals{stale: always, metric: increases(reconnects), log: unreachable}, (*redistest.Proxy).Cut, nil),
		cutReplies,
		r.networkFault("the network takes 500 ms", signals{readyz: "slow", metric: slow, log: "slow"},
			func(p *redistest.Proxy) { p.Delay(250 * time.Millisecond) }, // in each direction
			func(p *redistest.Proxy) { p.Delay(0) }),
		r.commandFault("all clients are disconnected", signals{metric: metricChange{}}, "CLIENT", "KILL", "TYPE", "normal"),
	}
}

// farTrips are round trips to a far Redis: another country, another continent, and the longest
// before an instance reports the store as slow.
var farTrips = []time.Duration{30 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond}

// distancesChange gives each instance another distance from Redis. It is over at once.
func (r *run) distancesChange() fault {
	return fault{name: "distances change", target: "distance", begin: func(random *rand.Rand) func() {
		for _, p := range r.proxies {
			p.Delay(farTrips[random.IntN(len(farTrips))] / 2)
		}
		return nil
	}}
}

// settingFault sends one command to Redis at its begin and another at its end.
func (r *run) settingFault(name string, sign signals, begin, end []any) fault {
	server := r.servers[0]
	return fault{name: name, target: "settings", signals: sign, begin: func(*rand.Rand) func() {
		server.Do(begin...)
		return func() { server.Do(end...) }
	}}
}

// restartFault kills Redis, changes its data and restarts it.
func (r *run) restartFault(name string, before, meanwhile func(*redistest.Server)) fault {
	server := r.servers[0]
	return fault{name: name, target: "redis", losesData: true, signals: storeAway("redis: cannot be used"), begin: func(*rand.Rand) func() {
		before(server)
		server.Kill()
		return func() {
			meanwhile(server)
			server.Restart()
		}
	}}
}

// slowSubscribers makes instances read messages too slowly for Redis.
func (r *run) slowSubscribers() fault {
	const limit = "client-output-buffer-limit"
	s := signals{stale: always, metric: increases(reconnects), log: limit}
	return fault{name: "subscribers are too slow", target: "network", signals: s, begin: func(*rand.Rand) func() {
		server := r.servers[0]
		server.Do("CONFIG", "SET", limit, "pubsub 1mb 0 0")
		for _, p := range r.proxies {
			p.Delay(50 * time.Millisecond) // each segment of a few KB
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

// otherInstanceFault starts one more instance with other flags. The signals are those of
// the new instance.
func (r *run) otherInstanceFault(name string, s signals, args func() []string, check func(*processtest.Instance)) fault {
	var other *processtest.Instance
	s.instances = func() []*processtest.Instance {
		if s.log == "" {
			return nil
		}
		return []*processtest.Instance{other}
	}
	return fault{name: name, target: "other instances", signals: s, begin: func(*rand.Rand) func() {
		other = processtest.Serve(r.t, binary, nil, args()...)
		check(other)
		return func() {}
	}}
}

// sendLike likes a topic through an instance and returns the status.
func sendLike(t testing.TB, i *processtest.Instance, topic, visitor string) (status int) {
	t.Helper()
	body := "{}"
	if isChoice(topic) {
		body = `{"option":1}`
	}
	request, err := http.NewRequest("POST", i.URL+"/v1/"+topic, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Tally-Visitor", visitor)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: responseTimeout}
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// Each fault around one Redis alone breaks no promise, and operators see it.
func TestFault_OneRedis(t *testing.T) {
	t.Parallel()
	durably := func(t *testing.T) *deployment { return proxiedRedis(t, 2, durable...) }
	volatile := func(t *testing.T) *deployment { return proxiedRedis(t, 2) }
	trials := map[string]trial{
		"restarted empty": {volatile, func(r *run) fault {
			return r.restartFault("Redis restarts empty", func(*redistest.Server) {}, (*redistest.Server).Empty)
		}},
		"restarted from an older file": {volatile, func(r *run) fault {
			return r.restartFault("Redis restarts with older data", func(s *redistest.Server) {
				s.Do("SAVE")
				r.awaitTraffic(now())
			}, func(*redistest.Server) {})
		}},
		"a subscriber too slow for the output buffer limit": {durably, (*run).slowSubscribers},
		"out of memory": {durably, func(r *run) fault {
			return r.settingFault("Redis has no memory left", writesRefused("out of memory"),
				[]any{"CONFIG", "SET", "maxmemory", "1mb"}, []any{"CONFIG", "SET", "maxmemory", "0"})
		}},
		"a read-only replica": {durably, func(r *run) fault {
			expected := writesRefused("read-only replica")
			expected.stale = maybe
			return r.settingFault("Redis becomes a replica", expected,
				[]any{"REPLICAOF", "127.0.0.1", processtest.FreePort(r.t)}, []any{"REPLICAOF", "NO", "ONE"})
		}},
		"two secrets": {durably, func(r *run) fault {
			return r.otherInstanceFault("an instance has another secret", signals{readyz: "secret", metric: increases("tallycast_store_conflict"), log: "secret"},
				func() []string { return []string{"--store", r.stores[0], "--secret", "another-secret-of-ours"} },
				func(i *processtest.Instance) {
					processtest.Eventually(r.t, "the refusal", func() bool { return i.Metric("tallycast_ready") == 0 })
					if status := sendLike(r.t, i, "default/likes/a", "visitor-000"); status != 503 {
						r.t.Errorf("a like with another secret: status %d", status)
					}
				})
		}},
		"a staging instance on another database": {durably, func(r *run) fault {
			return r.otherInstanceFault("staging shares the Redis", signals{},
				func() []string { return []string{"--store", r.servers[0].URL(5), "--site", "blog"} },
				func(i *processtest.Instance) {
					i.AwaitReady()
					for _, topic := range r.names {
						if status := sendLike(r.t, i, topic, "visitor-of-staging"); status != 200 {
							r.t.Errorf("a like of %s in staging: status %d", topic, status)
						}
					}
					if n := r.servers[0].Do("DBSIZE"); n == int64(0) {
						r.t.Error("the database is empty")
					}
				})
		}},
	}
	for _, name := range []string{"Redis is killed", "Redis hangs", "subscribers are disconnected", "scripts are flushed"} {
		trials[name] = trial{durably, func(r *run) fault { return faultNamed(r.singleServerFaults(), name) }}
	}
	for _, name := range []string{
		"replies are lost", "commands are lost",
		"messages are lost", "subscriptions are lost", "replies and messages are lost",
		"commands and subscriptions are lost", "subscriptions become silent", "connections are cut", "replies break off in the middle",
		"the network takes 500 ms",
	} {
		trials[name] = trial{durably, func(r *run) fault { return faultNamed(r.networkFaults(), name) }}
	}
	trials["an instance is killed"] = trial{durably, (*run).instanceKilled}
	runTrials(t, trials)
}

// The same with TLS and a Redis user, and faults of the rights of the user.
func TestFault_TLSAndUsers(t *testing.T) {
	t.Parallel()
	withTLS := func(t *testing.T) *deployment { return tlsRedis(t, 2) }
	trials := map[string]trial{}
	for right, named := range map[string]string{"publish": "PUBLISH", "hset": "HSET", "evalsha": "evalsha"} {
		trials["the right to "+right+" is missing"] = trial{withTLS, func(r *run) fault {
			expected := writesRefused(named)
			if right == "publish" {
				expected.stale = always // messages of other instances are missing
			}
			return r.settingFault("a right is taken away", expected,
				[]any{"ACL", "SETUSER", user, "-" + right}, []any{"ACL", "SETUSER", user, "+" + right})
		}}
	}
	for _, name := range longOnly("Redis is killed", "Redis hangs", "subscribers are disconnected", "scripts are flushed") {
		trials[name] = trial{withTLS, func(r *run) fault { return faultNamed(r.singleServerFaults(), name) }}
	}
	runTrials(t, trials)
}
