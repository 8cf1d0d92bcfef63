package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// soon is how long a viewer may take to be current after a fault, by the contract.
const soon = 5 * time.Second

// Viewers that connect during many likes end with the exact count.
func TestViewers_ConnectDuringLikes(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (a, b *service){
		"one instance": func(t *testing.T) (a, b *service) { s := serve(t); return s, s },
		"two instances": func(t *testing.T) (a, b *service) {
			return pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			const topic, likes = "default/likes/x", 600
			var mu sync.Mutex
			var viewers []*viewer
			each(likes, 16, func(i int) {
				s := []*service{a, b}[i%2]
				if answer, err := s.try("POST", "/v1/"+topic, "", "Tally-Visitor: "+visitor(i)); err != nil || answer.status != 200 {
					t.Errorf("like %d: %d %v", i, answer.status, err)
				}
				if i%20 != 0 {
					return
				}
				var v *viewer
				if i%40 == 0 {
					v = s.watch("?topic=" + topic)
				} else {
					v = s.dial("?topic=" + topic)
				}
				mu.Lock()
				viewers = append(viewers, v)
				mu.Unlock()
			})
			ended := time.Now()
			for _, v := range viewers {
				if f := v.awaitCount(topic, likes); f.at.Sub(ended) > soon {
					t.Errorf("the last number came %s after the last like", f.at.Sub(ended))
				}
				v.checkVersions()
			}
		})
	}
}

// The last viewer of a topic leaves while the next connects. The next misses nothing.
func TestViewers_LastLeavesNextComes(t *testing.T) {
	t.Parallel()
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
	const topic = "default/likes/x"
	last := b.watch("?topic=" + topic)
	for i := range int64(60) {
		go last.cancel() // ends at once; nothing waits for it but the viewer
		next := b.watch("?topic=" + topic)
		a.like(topic, visitor(int(i)), "1")
		next.awaitCount(topic, i+1)
		next.checkVersions()
		last = next
	}
}

// Both transports and GET send the same bytes.
func TestFrames_SameBytesOnBothTransports(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const topic = `default/likes/grüße "an" <alle> & 😀`
	path := `/v1/default/likes/gr%C3%BC%C3%9Fe%20%22an%22%20%3Calle%3E%20&%20%F0%9F%98%80`
	stream := s.watch(`?topic=default/likes/gr%C3%BC%C3%9Fe%20%22an%22%20%3Calle%3E%20%26%20%F0%9F%98%80`)
	socket := s.dial("")
	socket.send(`{"subscribe":["default/likes/gru\u0308ße \"an\" <alle> & \ud83d\ude00"]}`)
	for i := range int64(3) {
		stream.awaitCount(topic, i)
		socket.awaitCount(topic, i)
		s.do("POST", path, "", "Tally-Visitor: "+visitor(int(i))).wantStatus(200)
	}
	one, other := stream.awaitCount(topic, 3), socket.awaitCount(topic, 3)
	if read := s.get(path).wantStatus(200).body; one.raw != other.raw || one.raw != read {
		t.Errorf("stream %s\nsocket %s\nread   %s", one.raw, other.raw, read)
	}
	if want := fmt.Sprintf(`{"topic":"default/likes/grüße \"an\" <alle> & 😀","count":3,"version":%d}`, one.Version); one.raw != want {
		t.Errorf("%s, want %s", one.raw, want)
	}
}

// Instances recover from lost scripts, subscriptions, connections and data.
func TestRedis_LossWhileRunning(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	va, vb := a.watch("?topic="+topic), b.dial("?topic="+topic)
	va.awaitEvents("live", 1)
	vb.awaitEvents("live", 1)
	shows := func(what string, n int64) {
		t.Helper()
		for _, v := range []*viewer{va, vb} {
			processtest.Within(t, soon, what, func() bool { return v.last(topic).Count == n })
		}
	}
	a.like(topic, "visitor-1", "1")
	shows("a like", 1)
	redis.Do("SCRIPT", "FLUSH")
	b.like(topic, "visitor-2", "1")
	shows("after the scripts were lost", 2)
	redis.Do("CLIENT", "KILL", "TYPE", "pubsub")
	a.like(topic, "visitor-3", "1")
	shows("after the subscriptions were cut", 3)
	redis.Do("CLIENT", "KILL", "TYPE", "normal")
	processtest.Eventually(t, "connections again", func() bool {
		return b.do("POST", "/v1/"+topic, `{"visitor":"visitor-4"}`).status == 200
	})
	shows("after all connections were cut", 4)
	// Another count under the same version, as a failover may leave behind.
	redis.Do("HSET", "tally:{"+topic+"}:count", "n", 7)
	redis.Do("CLIENT", "KILL", "TYPE", "pubsub")
	shows("equal versions with different counts", 7)
	redis.Do("FLUSHALL")
	redis.Do("CLIENT", "KILL", "TYPE", "pubsub")
	shows("an empty Redis", 0)
	va.checkVersions()
	vb.checkVersions()
	if c := a.read(topic); c.Count != 0 || c.Version != va.last(topic).Version {
		t.Errorf("read %+v, shown %s", c, va.last(topic).raw)
	}
}

// Instances with another database or prefix share nothing.
func TestRedis_DatabasesAndPrefixes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	first := serve(t, "--store", redis.URL(0))
	second := serve(t, "--store", redis.URL(1))
	third := serve(t, "--store", redis.URL(0), "--redis-prefix", "other")
	const topic = "default/likes/x"
	var viewers []*viewer
	for _, s := range []*service{second, third} {
		v := s.watch("?topic=" + topic)
		v.awaitEvents("live", 1)
		viewers = append(viewers, v)
	}
	for i := range 3 {
		first.like(topic, visitor(i), "1")
	}
	for i, s := range []*service{second, third} {
		s.like(topic, "visitor-9", "1")
		f := viewers[i].awaitFrame("the own like", func(f frame) bool { return f.Topic == topic && f.Count > 0 })
		if c := s.read(topic); c.Count != 1 || f.Count != 1 {
			t.Errorf("%+v, shown %s", c, f.raw)
		}
	}
}

// The readers of a drained instance stop counting.
func TestPresence_DrainedInstance(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	a, b := pair(t, redis, "--drain", "0s")
	watcher := b.watch("?topic=" + readers)
	watcher.awaitEvents("live", 1)
	a.watch("?present="+readers).awaitEvents("live", 1)
	watcher.awaitCount(readers, 1)
	asked := time.Now()
	a.Terminate()
	if code := a.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
	f := watcher.awaitFrame("no reader", func(f frame) bool { return f.Count == 0 && f.at.After(asked) && f.Event == "" })
	if after := f.at.Sub(asked); after > soon {
		t.Errorf("gone after %s", after)
	}
}
