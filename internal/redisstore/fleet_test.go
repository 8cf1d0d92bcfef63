package redisstore

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestASlotIsWhereRedisSaysItIs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes"}})
	for _, key := range []string{
		"", "a", "tally:layout", "tally:{default/likes/hello}:count", "{}x", "{a", "a}{b}", "{{a}}", "x{a}{b}", "日本{語/é}", "{\u2028}",
	} {
		if got, want := slotOf(key), server.Do("CLUSTER", "KEYSLOT", key).(int64); int64(got) != want {
			t.Errorf("slot of %q: %d, Redis says %d", key, got, want)
		}
	}
}

// somewhere returns a store of a cluster that nobody connects to.
func somewhere(t testing.TB) *Store {
	s, err := Open("redis+cluster://127.0.0.1:1", tally.NewCatalog(nil, nil), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Whatever the nodes say, a slot belongs to one of those whom most of them name.
func TestASlotBelongsToWhomMostNodesSay(t *testing.T) {
	t.Parallel()
	s := somewhere(t)
	holders := []string{"a:1", "b:2", "c:3", ""}
	rapid.Check(t, func(t *rapid.T) {
		cuts := []int{0, 5000, 10000, slots}
		said := make([][]string, rapid.IntRange(1, 4).Draw(t, "nodes"))
		var maps [][]span
		for i := range said {
			var spans []span
			for j := range 3 {
				holder := rapid.SampledFrom(holders).Draw(t, "holder")
				said[i] = append(said[i], holder)
				if holder != "" {
					spans = append(spans, span{cuts[j], cuts[j+1] - 1, holder})
				}
			}
			maps = append(maps, spans)
		}
		now := s.fleet.chart()
		s.fleet.install(most(maps, now))
		for j, first := range cuts[:3] {
			votes := map[string]int{}
			for i := range said {
				votes[said[i][j]]++
			}
			got := ""
			for _, slot := range []int{first, cuts[j+1] - 1} {
				got = ""
				if n := s.fleet.chart().at(slot); n != nil {
					got = n.addr
				}
			}
			for holder, n := range votes {
				if n > votes[got] {
					t.Fatalf("part %d is held by %q, though %d say %q: %v", j, got, n, holder, said)
				}
			}
		}
	})
}

func TestANodeSaysWhereASlotWent(t *testing.T) {
	t.Parallel()
	s := somewhere(t)
	s.fleet.install([]span{{0, 8191, "10.0.0.1:1"}, {8192, slots - 1, "10.0.0.2:2"}})
	from := s.fleet.chart().at(0)
	if w, sent := s.fleet.elsewhere(from, answered("MOVED 7 :2222")); !sent || w.to.addr != "10.0.0.1:2222" || w.asking || s.fleet.chart().at(7) != w.to {
		t.Errorf("moved to the same host: %+v", w)
	}
	if w, sent := s.fleet.elsewhere(from, answered("MOVED 8 10.0.0.2:2")); !sent || w.to != s.fleet.chart().at(9000) || s.fleet.chart().at(8) != w.to {
		t.Errorf("moved to a node that is known: %+v", w)
	}
	if w, sent := s.fleet.elsewhere(from, answered("ASK 9 10.0.0.3:3")); !sent || !w.asking || w.to.addr != "10.0.0.3:3" || s.fleet.chart().at(9) != from {
		t.Errorf("asked elsewhere: %+v", w)
	}
	if w, sent := s.fleet.elsewhere(from, answered("TRYAGAIN Multiple keys request during rehashing of slot")); !sent || w.to != from || !w.soon {
		t.Errorf("again: %+v", w)
	}
	for _, text := range []string{"MOVED", "MOVED x y", "MOVED 99999 10.0.0.2:2", "MOVED -1 10.0.0.2:2"} {
		if w, sent := s.fleet.elsewhere(from, answered(text)); sent {
			t.Errorf("%q leads to %+v", text, w)
		}
	}
	if _, sent := s.fleet.elsewhere(from, errors.New("MOVED 1 a:1, says no Redis")); sent {
		t.Error("whoever is no Redis was believed")
	}
}

// answered is an error as Redis answers it.
type answered string

func (a answered) Error() string { return string(a) }
func (answered) RedisError()     {}

// Whatever is read as a URL has what it takes, and whatever is refused is refused
// without telling the password.
func FuzzStoreURL(f *testing.F) {
	for _, seed := range []string{
		"redis://h", "rediss://u:hunter2@h:1/2?wait=1", "redis+sentinel://:hunter2@a,b:2/m/3", "redis+cluster://[::1]:1,b",
		"redis+cluster://u:hunter2@a,b?tls=true", "redis+sentinel://a:1/", "redis://u:hunter2/@h", "redis+x://", "redis://h?wait=101", "redis+sentinel://a/m%2F",
		"redis+sentinel://u:p@a/m?sentinel_user=w&sentinel_password=p%40", "redis+sentinel://a/m?sentinel_password=%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseURL(text, Options{})
		if err != nil {
			if _, rest, _ := strings.Cut(text, "://"); strings.HasPrefix(rest, "u:hunter2@") && strings.Count(text, "hunter2") == 1 && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("%q is refused with its password: %v", text, err)
			}
			return
		}
		if len(got.addrs) == 0 || slices.Contains(got.addrs, "") || got.wait < 0 || got.wait > mostReplicas {
			t.Fatalf("%q became %+v", text, got)
		}
		if (got.shape == sentinel) != (got.master != "") || got.shape == cluster && got.settings.DB != 0 {
			t.Fatalf("%q became %+v", text, got)
		}
	})
}

func TestURLsOfEveryShape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		addrs  string
		master string
		user   string
		word   string
		db     int
		wait   int
		tls    bool
	}{
		"redis://h":                                      {addrs: "h:6379"},
		"rediss://u:p%40@h:1/2?wait=1":                   {addrs: "h:1", user: "u", word: "p@", db: 2, wait: 1, tls: true},
		"redis://h?tls=true":                             {addrs: "h:6379", tls: true},
		"redis+sentinel://u:p@a:1,b/m/4?wait=2":          {addrs: "a:1 b:26379", master: "m", user: "u", word: "p", db: 4, wait: 2},
		"rediss+sentinel://a/m":                          {addrs: "a:26379", master: "m", tls: true},
		"redis+cluster://:p@a,b:2,a,[::1]:7/0?tls=false": {addrs: "a:6379 b:2 [::1]:7", word: "p"},
		"rediss+cluster://a":                             {addrs: "a:6379", tls: true},
	} {
		got, err := parseURL(text, Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.Join(got.addrs, " ") != want.addrs || got.master != want.master || got.settings.Username != want.user ||
			got.settings.Password != want.word || got.settings.DB != want.db || got.wait != want.wait || (got.settings.TLSConfig != nil) != want.tls {
			t.Errorf("%s became %+v, user %q, database %d", text, got, got.settings.Username, got.settings.DB)
		}
	}
	got, err := parseURL("redis+sentinel://u:p@a/m/1?sentinel_user=w%40tch&sentinel_password=%26%2B%23%25&wait=1", Options{})
	if err != nil || got.watcher.user != "w@tch" || got.watcher.password != "&+#%" || got.settings.Password != "p" || got.wait != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// However often slots change hands before anybody looks, a topic is followed by the
// feed of its holder, once that is live, and by no other; one that was left by none.
func TestTopicsFollowTheirSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := somewhere(t)
		watched := map[tally.Topic]bool{}
		var topics []tally.Topic
		for _, key := range []string{"a", "b", "c", "d"} {
			topic, err := tally.NewTopic("default", "likes", key)
			if err != nil {
				rt.Fatal(err)
			}
			topics = append(topics, topic)
		}
		holder := rapid.SampledFrom([]string{"10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"})
		rt.Repeat(map[string]func(*rapid.T){
			"slots change hands": func(rt *rapid.T) {
				cut := rapid.IntRange(1, slots-1).Draw(rt, "cut")
				s.fleet.install([]span{{0, cut - 1, holder.Draw(rt, "low")}, {cut, slots - 1, holder.Draw(rt, "high")}})
			},
			"a slot moves": func(rt *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				s.fleet.moved(slotOf(s.names.count(topic)), holder.Draw(rt, "holder"))
			},
			"watch": func(rt *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				s.Watch(topic)
				watched[topic] = true
			},
			"unwatch": func(rt *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				s.Unwatch(topic)
				delete(watched, topic)
			},
			"rehome": func(rt *rapid.T) {
				for range 2 { // what was adopted makes a feed wait, and others for it
					for _, n := range s.fleet.chart().nodes {
						n.feed.begin() // as if it had a session that is live
						n.feed.mu.Lock()
						n.feed.live = true
						n.feed.mu.Unlock()
					}
					s.rehome()
				}
				c := s.fleet.chart()
				followers := map[tally.Topic]int{}
				for _, n := range c.nodes {
					for _, topic := range n.feed.wantedTopics() {
						followers[topic]++
						if s.feedOf(c, topic) != n.feed {
							rt.Errorf("%s is followed by %s", topic, n.addr)
						}
					}
				}
				for _, topic := range s.homeless.wantedTopics() {
					followers[topic]++
				}
				for _, topic := range topics {
					if want := watched[topic]; followers[topic] != map[bool]int{true: 1}[want] {
						rt.Errorf("%s has %d followers, watched is %t", topic, followers[topic], want)
					}
				}
			},
		})
	})
}
