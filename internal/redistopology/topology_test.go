package redistopology

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestSlotOf_RedisAgrees(t *testing.T) {
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

// A pipeline that a node answered counts as a round trip; one without a connection does not.
func TestRoundTrip_Connections(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	for url, want := range map[string]int64{server.URL(0): 1, "redis://127.0.0.1:1": 0} {
		var n atomic.Int64
		topology, err := Open(url, Options{Logger: slog.New(slog.DiscardHandler), RoundTrip: func(time.Duration) { n.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		defer topology.Close()
		client := topology.NewClient(func() error { return nil })
		if err := client.Incr(t.Context(), "number").Err(); (err == nil) != (want > 0) {
			t.Errorf("%s: %v", url, err)
		}
		if n.Load() != want {
			t.Errorf("%s: %d round trips, want %d", url, n.Load(), want)
		}
	}
}

// openCluster returns a topology of a Cluster that is never connected to.
func openCluster(t testing.TB) *Topology {
	topology, err := Open("redis+cluster://127.0.0.1:1", Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topology.Close)
	return topology
}

// A slot belongs to a node that most maps name.
func TestMergeSlotMaps_Majority(t *testing.T) {
	t.Parallel()
	topology := openCluster(t)
	owners := []string{"a:1", "b:2", "c:3", ""}
	rapid.Check(t, func(t *rapid.T) {
		cuts := []int{0, 5000, 10000, slotCount}
		named := make([][]string, rapid.IntRange(1, 4).Draw(t, "nodes"))
		var maps [][]SlotRange
		for i := range named {
			var ranges []SlotRange
			for j := range 3 {
				owner := rapid.SampledFrom(owners).Draw(t, "owner")
				named[i] = append(named[i], owner)
				if owner != "" {
					ranges = append(ranges, SlotRange{cuts[j], cuts[j+1] - 1, owner})
				}
			}
			maps = append(maps, ranges)
		}
		topology.Assign(mergeSlotMaps(maps, topology.SlotMap()))
		for j, first := range cuts[:3] {
			votes := map[string]int{}
			for i := range named {
				votes[named[i][j]]++
			}
			for _, slot := range []int{first, cuts[j+1] - 1} {
				got := ""
				if n := topology.SlotMap().owners[slot]; n != nil {
					got = n.Addr
				}
				for owner, n := range votes {
					if n > votes[got] {
						t.Fatalf("slot %d is held by %q, though %d maps name %q: %v", slot, got, n, owner, named)
					}
				}
			}
		}
	})
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	topology := openCluster(t)
	topology.Assign([]SlotRange{{0, 8191, "10.0.0.1:1"}, {8192, slotCount - 1, "10.0.0.2:2"}})
	from := topology.SlotMap().owners[0]
	redirect := func(err error) (operation, bool) {
		o := operation{node: from}
		ok := topology.redirect(&o, err)
		return o, ok
	}
	if o, ok := redirect(answered("MOVED 7 :2222")); !ok || o.node.Addr != "10.0.0.1:2222" || o.asking {
		t.Errorf("MOVED to the same host: %+v", o)
	}
	if o, ok := redirect(answered("MOVED 8 10.0.0.2:2")); !ok || o.node != topology.SlotMap().owners[9000] || o.asking {
		t.Errorf("MOVED to a known node: %+v", o)
	}
	if len(topology.stale) == 0 {
		t.Error("the slot map is not refreshed after MOVED")
	}
	if o, ok := redirect(answered("ASK 9 10.0.0.3:3")); !ok || !o.asking || o.node.Addr != "10.0.0.3:3" {
		t.Errorf("ASK: %+v", o)
	}
	if o, ok := redirect(answered("TRYAGAIN Multiple keys request during rehashing of slot")); !ok || o.node != from || !o.pause {
		t.Errorf("TRYAGAIN: %+v", o)
	}
	for _, text := range []string{"MOVED", "MOVED x y", "MOVED 7", "ASK 7 10.0.0.2"} {
		if o, ok := redirect(answered(text)); ok {
			t.Errorf("%q leads to %+v", text, o)
		}
	}
	if _, ok := redirect(errors.New("MOVED 1 a:1")); ok {
		t.Error("followed an error that Redis did not answer")
	}
}

// answered is an error as Redis answers it.
type answered string

func (a answered) Error() string { return string(a) }
func (answered) RedisError()     {}

// A parsed URL is complete; an error does not contain the password.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"redis://h", "rediss://u:hunter2@h:1/2?wait=1", "redis+sentinel://:hunter2@a,b:2/m/3", "redis+cluster://[::1]:1,b",
		"redis+cluster://u:hunter2@a,b?tls=true", "redis+sentinel://a:1/", "redis://u:hunter2/@h", "redis+x://", "redis://h?wait=101", "redis+sentinel://a/m%2F",
		"redis+sentinel://u:p@a/m?sentinel_user=w&sentinel_password=p%40", "redis+sentinel://a/m?sentinel_password=%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseURL(text, nil, Timeout)
		if err != nil {
			if _, rest, _ := strings.Cut(text, "://"); strings.HasPrefix(rest, "u:hunter2@") && strings.Count(text, "hunter2") == 1 && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("%q is refused with its password: %v", text, err)
			}
			return
		}
		if len(got.addrs) == 0 || slices.Contains(got.addrs, "") || got.replicas < 0 || got.replicas > maxReplicas {
			t.Fatalf("%q became %+v", text, got)
		}
		if (got.mode == sentinel) != (got.primary != "") || got.mode == cluster && got.settings.DB != 0 {
			t.Fatalf("%q became %+v", text, got)
		}
	})
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		addrs    string
		primary  string
		user     string
		password string
		db       int
		replicas int
		tls      bool
	}{
		"redis://h":                                      {addrs: "h:6379"},
		"rediss://u:p%40@h:1/2?wait=1":                   {addrs: "h:1", user: "u", password: "p@", db: 2, replicas: 1, tls: true},
		"redis://h?tls=true":                             {addrs: "h:6379", tls: true},
		"redis+sentinel://u:p@a:1,b/m/4?wait=2":          {addrs: "a:1 b:26379", primary: "m", user: "u", password: "p", db: 4, replicas: 2},
		"rediss+sentinel://a/m":                          {addrs: "a:26379", primary: "m", tls: true},
		"redis+cluster://:p@a,b:2,a,[::1]:7/0?tls=false": {addrs: "a:6379 b:2 [::1]:7", password: "p"},
		"rediss+cluster://a":                             {addrs: "a:6379", tls: true},
	} {
		got, err := parseURL(text, nil, Timeout)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.Join(got.addrs, " ") != want.addrs || got.primary != want.primary || got.settings.Username != want.user ||
			got.settings.Password != want.password || got.settings.DB != want.db || got.replicas != want.replicas || (got.settings.TLSConfig != nil) != want.tls {
			t.Errorf("%s became %+v, user %q, database %d", text, got, got.settings.Username, got.settings.DB)
		}
	}
	got, err := parseURL("redis+sentinel://u:p@a/m/1?sentinel_user=w%40tch&sentinel_password=%26%2B%23%25&wait=1", nil, Timeout)
	if err != nil || got.sentinelLogin.user != "w@tch" || got.sentinelLogin.password != "&+#%" || got.settings.Password != "p" || got.replicas != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
