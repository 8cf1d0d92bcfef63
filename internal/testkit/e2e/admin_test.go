package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

const adminToken = "admin-token-of-the-tests"

// owner sends requests of the owner to a service.
type owner struct {
	*service
	url string // prefix of the calls
}

func (s *service) owner() owner { return owner{s, "/admin/v1/"} }

func (o owner) call(method, path, body string) response {
	o.t.Helper()
	lines := []string{"Authorization: Bearer " + adminToken}
	if body != "" {
		lines = append(lines, "Content-Type: application/json")
	}
	return o.do(method, o.url+path, body, lines...)
}

// runCommand runs a command on the service, which must succeed, and returns its output.
func (o owner) runCommand(args ...string) string {
	o.t.Helper()
	code, out, errors := run(o.t, []string{"TALLYCAST_AT=" + o.URL, "TALLYCAST_ADMIN_TOKEN=" + adminToken}, args...)
	if code != 0 {
		o.t.Fatalf("%v: exit %d, %s%s", args, code, out, errors)
	}
	return out
}

// ownedStore is a store with one or two instances. The owner edits at the first; the test
// checks at the last.
type ownedStore struct {
	first, last *service
}

// onEachStore runs a test on SQLite, and on Redis with two instances.
func onEachStore(t *testing.T, test func(*testing.T, ownedStore), args ...string) {
	t.Parallel()
	args = append(args, "--admin-token", adminToken, "--trusted-proxy", "127.0.0.0/8")
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := serve(t, args...)
		test(t, ownedStore{s, s})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}), args...)
		test(t, ownedStore{a, b})
	})
}

// likesFrom sends likes of n visitors from an address.
func (s *service) likesFrom(address, topic string, first, n int) {
	s.t.Helper()
	each(n, 8, func(i int) {
		a, err := s.try("POST", "/v1/"+topic, `{"visitor":"`+visitor(first+i)+`"}`, "X-Forwarded-For: "+address)
		if err != nil || a.status != 200 {
			s.t.Errorf("a like: %d %s %v", a.status, a.body, err)
		}
	})
}

// Open pages show each edit of an owner.
func TestOwner_SetResetDelete(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		const topic = "default/likes/posts/hello"
		stream, socket := m.last.watch("?topic="+topic), m.last.dial("?topic="+topic)
		viewers := []*viewer{stream, socket}
		show := func(n int64) {
			t.Helper()
			for _, v := range viewers {
				processtest.Eventually(t, fmt.Sprintf("%s at %d last", topic, n), func() bool { f := v.last(topic); return f.Topic == topic && f.Count == n })
			}
		}
		stream.awaitEvents("live", 1)
		socket.awaitEvents("live", 1)
		m.first.likesFrom("203.0.113.7", topic, 0, 3)
		show(3)
		o := m.first.owner()
		o.call("PATCH", "topics/"+topic, `{"count":100}`).wantStatus(200)
		show(100)
		o.call("PATCH", "topics/"+topic, `{"seed":7}`).wantStatus(200)
		show(107)
		m.last.likesFrom("203.0.113.7", topic, 3, 1)
		show(108)
		o.call("POST", "reset", `{"topics":["`+topic+`"]}`).wantStatus(200)
		show(0)
		m.last.likesFrom("203.0.113.7", topic, 0, 2) // the same visitors may like again
		show(2)
		o.call("DELETE", "topics/"+topic, "").wantStatus(200).wantBody(`"changed":true`)
		show(0)
		m.first.likesFrom("203.0.113.7", topic, 0, 1)
		show(1)
		for _, v := range viewers {
			v.checkVersions()
		}
		m.last.owner().call("GET", "audit", "").wantStatus(200).wantBody(`"action":"delete"`).wantBody(`"action":"reset"`).wantBody(`"action":"set"`).wantBody(`"action":"seed"`)
	})
}

// Open pages show renames and merges. Visitors keep their contributions.
func TestOwner_RenameAndMerge(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		const old, renamed, other = "default/likes/old", "default/likes/new", "default/likes/other"
		v := m.last.watch("?topic=" + old + "&topic=" + renamed + "&topic=" + other)
		v.awaitEvents("live", 1)
		m.first.likesFrom("203.0.113.7", old, 0, 5)
		m.first.likesFrom("203.0.113.7", other, 100, 4)
		o := m.first.owner()
		o.call("POST", "rename", `{"from":"`+old+`","to":"`+renamed+`"}`).wantStatus(200).wantBody(`"count":5`)
		v.awaitCount(renamed, 5)
		processtest.Eventually(t, "the old name at 0", func() bool { return v.last(old).Count == 0 })
		// Visitors of the old name are known under the new one, on each instance.
		for i, s := range []*service{m.first, m.last} {
			processtest.Eventually(t, "the former name is known", func() bool {
				a := s.get("/v1/"+renamed, "Tally-Visitor: "+visitor(i))
				return strings.Contains(a.body, `"mine":1`)
			})
			s.likesFrom("203.0.113.7", renamed, i, 1)
		}
		if c := m.last.read(renamed); c.Count != 5 {
			t.Errorf("%+v", c)
		}
		o.call("POST", "merge", `{"from":["`+other+`"],"to":"`+renamed+`"}`).wantStatus(200).wantBody(`"count":9`)
		v.awaitCount(renamed, 9)
		processtest.Eventually(t, "the merged one at 0", func() bool { return v.last(other).Count == 0 })
		m.last.do("DELETE", "/v1/"+renamed, "", "Tally-Visitor: "+visitor(0)).wantStatus(200)
		v.awaitCount(renamed, 8)
		v.checkVersions()
	})
}

// A spike is listed, previewed and reverted. Open pages show the revert.
func TestOwner_RevertSpike(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		const topic = "default/likes/hello"
		v := m.last.watch("?topic=" + topic)
		v.awaitEvents("live", 1)
		m.first.likesFrom("203.0.113.7", topic, 0, 5)
		m.last.likesFrom("198.51.100.9", topic, 1000, 200)
		v.awaitCount(topic, 205)
		o := m.first.owner()
		var spikes struct {
			Spikes []struct {
				Topic   string
				Sources []struct {
					Source        string
					Contributions int
				}
				Contributions int
				Networks      int
				Period        string
				Usual         int
				SiteUsual     int `json:"site_usual"`
				From, To      time.Time
			}
		}
		o.call("GET", "spikes?since=1h", "").decode(&spikes)
		if len(spikes.Spikes) != 1 || spikes.Spikes[0].Topic != topic || len(spikes.Spikes[0].Sources) == 0 {
			t.Fatalf("%+v", spikes)
		}
		undo, _ := json.Marshal(map[string]any{"topics": []string{topic}, "from": time.Now().Add(-time.Hour), "addresses": []string{"198.51.100.1"}})
		preview := strings.TrimSuffix(string(undo), "}") + `,"preview":true}`
		o.call("POST", "undo", preview).wantStatus(200).wantBody(`"contributions":200`).wantBody(`"source":"` + spikes.Spikes[0].Sources[0].Source + `"`).wantBody(`"undone":false`)
		if c := m.last.read(topic); c.Count != 205 {
			t.Errorf("%+v", c)
		}
		o.call("POST", "undo", string(undo)).wantStatus(200).wantBody(`"contributions":200`).wantBody(`"undone":true`)
		processtest.Eventually(t, "the count without the spike", func() bool { return v.last(topic).Count == 5 })
		o.call("POST", "undo", string(undo)).wantStatus(200).wantBody(`"contributions":0`)
		m.last.likesFrom("198.51.100.9", topic, 1000, 1) // the same visitor may like again
		processtest.Eventually(t, "one more", func() bool { return v.last(topic).Count == 6 })
		v.checkVersions()
	})
}

// Blocks and forgotten visitors take effect on every instance.
func TestOwner_BlockAndForget(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		const topic = "default/likes/hello"
		v := m.last.watch("?topic=" + topic)
		v.awaitEvents("live", 1)
		m.first.likesFrom("203.0.113.7", topic, 0, 3)
		v.awaitCount(topic, 3)
		o := m.first.owner()
		o.call("POST", "forget", `{"visitor":"`+visitor(1)+`"}`).wantStatus(200).wantBody(`{"contributions":1}`)
		processtest.Eventually(t, "one less", func() bool { return v.last(topic).Count == 2 })
		o.call("POST", "blocks", `{"range":"198.51.100.0/24","reason":"a flood"}`).wantStatus(204)
		o.call("POST", "blocks", `{"visitor":"`+visitor(9)+`"}`).wantStatus(204)
		like := func(s *service, who, address string) response {
			return s.do("POST", "/v1/"+topic, `{"visitor":"`+who+`"}`, "X-Forwarded-For: "+address)
		}
		for _, s := range []*service{m.first, m.last} {
			processtest.Within(t, 7*time.Second, "the range is blocked", func() bool { return like(s, visitor(2), "198.51.100.200").status == 403 })
			like(s, visitor(2), "198.51.100.200").wantProblem(403, "blocked")
			processtest.Within(t, 7*time.Second, "the visitor is blocked", func() bool { return like(s, visitor(9), "203.0.113.7").status == 403 })
			like(s, visitor(2), "203.0.113.7").wantStatus(200)
		}
		o.call("DELETE", "blocks", `{"range":"198.51.100.0/24"}`).wantStatus(204)
		for _, s := range []*service{m.first, m.last} {
			processtest.Within(t, 7*time.Second, "the range is free", func() bool { return like(s, visitor(2), "198.51.100.200").status == 200 })
		}
		v.checkVersions()
	})
}

// The commands have the same effects as the HTTP calls.
func TestOwner_Commands(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		o := m.first.owner()
		m.first.likesFrom("203.0.113.7", "default/likes/a", 0, 2)
		v := m.last.watch("?topic=default/likes/a&topic=default/likes/b")
		v.awaitEvents("live", 1)
		o.runCommand("topics", "set", "default/likes/a", "42")
		v.awaitCount("default/likes/a", 42)
		o.runCommand("topics", "rename", "--yes", "default/likes/a", "default/likes/b")
		v.awaitCount("default/likes/b", 42)
		o.runCommand("topics", "undo", "--yes", "--site", "default", "--from", "1h", "--address", "192.0.2.1")
		if out := o.runCommand("topics", "list", "--site", "default"); !strings.Contains(out, `"topic":"default/likes/b","count":42`) || strings.Contains(out, "likes/a") {
			t.Errorf("%s", out)
		}
		if out := m.last.owner().runCommand("topics", "audit"); !strings.Contains(out, `"action":"rename"`) {
			t.Errorf("%s", out)
		}
		if out := o.runCommand("prune", "--site", "default", "--untouched", "1h"); out != "" {
			t.Errorf("%s", out)
		}
		o.runCommand("topics", "delete", "--yes", "default/likes/b")
		processtest.Eventually(t, "the deletion", func() bool { return v.last("default/likes/b").Count == 0 })
	})
}

// A site with keys=known accepts likes of visitors only for known keys.
func TestSite_KnownKeys(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		like := func(key string, lines ...string) response {
			return m.last.do("POST", "/v1/blog/likes/"+key, `{"visitor":"visitor-1"}`, lines...)
		}
		like("unknown").wantProblem(404, "unknown_key")
		m.first.owner().call("PATCH", "topics/blog/likes/seeded", `{"seed":0}`).wantStatus(200)
		like("seeded").wantStatus(200)
		like("made", "Authorization: Bearer server-token-of-tests").wantStatus(200)
		like("made").wantStatus(200)
		like("unknown").wantProblem(404, "unknown_key")
		processtest.Within(t, 10*time.Second, "the listing, which may be 2 s behind", func() bool {
			return len(m.last.get("/v1/top/blog/likes").counts()) == 2
		})
	}, "--site", "blog=keys=known", "--server-token", "server-token-of-tests")
}

// The admin token is in no log, and grants nothing outside /admin.
func TestAdminToken_NotLogged(t *testing.T) {
	t.Parallel()
	s := serveIn(t, []string{"TALLYCAST_ADMIN_TOKEN=" + adminToken}, "--log-level", "debug", "--base-path", "/tally")
	o := s.owner()
	o.call("GET", "topics", "").wantStatus(200)
	s.get("/admin/v1/topics?token="+adminToken).wantProblem(401, "not_authorized")
	s.get("/admin/v1/topics", "Authorization: Bearer wrong-"+adminToken).wantProblem(401, "not_authorized")
	s.do("POST", "/admin/v1/session", `{"token":"`+adminToken+`"}`, "Content-Type: application/json").wantStatus(204)
	s.get("/v1/default/likes/x", "Authorization: Bearer "+adminToken).wantProblem(403, "origin_not_allowed")
	processtest.Eventually(t, "the access log", func() bool { return len(s.Log.Records("request")) >= 5 })
	if strings.Contains(s.Log.String()+s.Out.String(), adminToken) {
		t.Error("the token was logged")
	}
	for _, path := range []string{"/metrics", "/debug/pprof/cmdline", "/readyz"} {
		if strings.Contains(s.operator.get(path).body, adminToken) {
			t.Errorf("%s shows the token", path)
		}
	}
}

// Commands that edit Redis directly reach running instances and their pages.
func TestOwner_DirectlyOnRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	s := serve(t, "--store", redis.URL(0))
	s.like("default/likes/a", visitor(1), "1")
	v := s.watch("?topic=default/likes/a&topic=default/likes/b")
	v.awaitEvents("live", 1)
	direct := func(args ...string) {
		t.Helper()
		if code, out, errors := run(t, nil, append(append([]string{"topics"}, args...), "--store", redis.URL(0))...); code != 0 {
			t.Fatalf("%v: exit %d, %s%s", args, code, out, errors)
		}
	}
	direct("set", "default/likes/a", "42")
	v.awaitCount("default/likes/a", 42)
	direct("rename", "--yes", "default/likes/a", "default/likes/b")
	v.awaitCount("default/likes/b", 42)
	processtest.Within(t, 10*time.Second, "the former name is known", func() bool {
		return strings.Contains(s.get("/v1/default/likes/b", "Tally-Visitor: "+visitor(1)).body, `"mine":1`)
	})
	direct("undo", "--yes", "default/likes/b", "--from", "1h")
	direct("delete", "--yes", "default/likes/b")
	processtest.Eventually(t, "the deletion", func() bool { return v.last("default/likes/b").Count == 0 })
	v.checkVersions()
}
