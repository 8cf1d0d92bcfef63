package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Hosted stores bill each command. The tests count the commands that reach a real Redis, with
// short intervals: an exact number for each probe and each sweep, and nothing else.

// dailyProbe and dailySweep are the most probes and sweeps of a day with the default intervals.
const (
	dailyIdle    = 24 * 60
	dailyWatched = 24 * 3600 / 5
	dailySweeps  = 24 * 3600 / 50
)

// startInstance serves from a Redis until the test ends, and waits until it is ready.
func startInstance(t *testing.T, redis *redistest.Server, intervals redisstore.Intervals) *instance {
	t.Helper()
	return startInstanceAt(t, redis.URL(0), intervals)
}

func startInstanceAt(t *testing.T, url string, intervals redisstore.Intervals) *instance {
	t.Helper()
	flags := map[string][]string{"store": {url}, "listen": {"127.0.0.1:0"}, "internal-listen": {"127.0.0.1:0"}, "drain": {"0s"}}
	c, problems := config.Parse(config.Resolve(config.Settings, flags, config.ParseEnvironment(nil), config.File{}))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	i, err := open(t.Context(), Options{Config: c, Stderr: io.Discard, intervals: intervals}, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- i.serve(ctx) }() // ends with ctx; the cleanup waits for it
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	processtest.Eventually(t, "the instance is ready", func() bool {
		return i.store.Health().Reached && i.hub.StaleSince().IsZero()
	})
	return i
}

// commandStats returns how many commands of each name Redis has executed, with those of scripts
// and without those of this test.
func commandStats(server *redistest.Server) map[string]int {
	stats := server.Commands()
	maps.DeleteFunc(stats, func(name string, _ int) bool {
		return name == "info" || name == "hello" || strings.HasPrefix(name, "client")
	})
	return stats
}

// since returns the commands that were executed after before.
func since(server *redistest.Server, before map[string]int) map[string]int {
	after := commandStats(server)
	for name, n := range before {
		if after[name] -= n; after[name] == 0 {
			delete(after, name)
		}
	}
	return after
}

// probeCommands returns the commands of n probes: one call of a script, and what it executes.
func probeCommands(n int) map[string]int {
	return map[string]int{"evalsha": n, "time": n, "set": 3 * n, "get": 2 * n, "hgetall": 2 * n, "zscore": n, "hget": 2 * n, "hset": n, "publish": n}
}

// awaitSteady waits until Redis executes, during 10 probes, exactly the commands that want
// returns for the number of probes. Each probe publishes one message.
func awaitSteady(t *testing.T, server *redistest.Server, want func(probes int, seen map[string]int) map[string]int) {
	t.Helper()
	var seen, wanted map[string]int
	for range 10 { // what the start sends may be among the first
		before := commandStats(server)
		processtest.Eventually(t, "10 probes", func() bool { seen = since(server, before); return seen["publish"] >= 10 })
		if wanted = want(seen["publish"], seen); maps.Equal(seen, wanted) {
			return
		}
	}
	t.Errorf("Redis executes\n%v, want\n%v", seen, wanted)
}

func onlyProbes(probes int, _ map[string]int) map[string]int { return probeCommands(probes) }

// Without viewers and writes an instance sends one command a minute: a script that probes.
func TestCommands_Idle(t *testing.T) {
	t.Parallel()
	if dailyIdle > 1500 {
		t.Errorf("%d commands a day", dailyIdle)
	}
	server := redistest.Start(t, redistest.Options{})
	intervals := redisstore.Intervals{Idle: 20 * time.Millisecond, Repair: time.Millisecond}
	startInstance(t, server, intervals)
	awaitSteady(t, server, onlyProbes)
	startInstance(t, server, intervals) // another instance adds its own probes and nothing else
	awaitSteady(t, server, onlyProbes)
}

// With viewers of 1,000 topics that do not change, an instance sends a probe every 5 s and a
// script every 50 s that reads all topics.
func TestCommands_Watched(t *testing.T) {
	t.Parallel()
	if n := dailyWatched + dailySweeps; n > 20_000 {
		t.Errorf("%d commands a day", n)
	}
	const topics = 1000
	server := redistest.Start(t, redistest.Options{})
	i := startInstance(t, server, redisstore.Intervals{
		Idle: time.Hour, Busy: 5 * time.Millisecond, Watched: 20 * time.Millisecond, Sweep: 50 * time.Millisecond, Repair: time.Millisecond,
	})
	var body struct {
		Topics []string `json:"topics"`
	}
	for n := range topics {
		body.Topics = append(body.Topics, fmt.Sprintf("default/likes/%d", n))
	}
	text, _ := json.Marshal(body)
	response, err := http.Post("http://"+i.public.address()+"/v1/stream", "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"live"`) {
	}
	awaitSteady(t, server, func(probes int, seen map[string]int) map[string]int {
		want := probeCommands(probes)
		sweeps := seen["hmget"] / topics
		want["evalsha"] += sweeps
		want["hmget"] += topics * sweeps
		if sweeps == 0 {
			delete(want, "hmget")
		}
		return want
	})
}

// sentCommands returns the numbers of commands in the instance's metric, by name.
func sentCommands(i *instance) (sent map[string]int, all int) {
	sent = map[string]int{}
	for _, sample := range i.store.(tally.Instrumented).Metrics() {
		if sample.Name == "redis_commands_total" {
			sent[sample.LabelValue] = int(sample.Value)
			all += int(sample.Value)
		}
	}
	return sent, all
}

// A like is one command. Leaderboard and directory follow with two commands for all likes of a
// second, gains that nobody reads with one. The metric agrees with Redis.
func TestCommands_Like(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	i := startInstance(t, server, redisstore.Intervals{Repair: time.Millisecond, Gains: time.Second})
	like := func(visitor string) {
		t.Helper()
		response, err := http.Post("http://"+i.public.address()+"/v1/default/likes/page", "application/json", strings.NewReader(`{"visitor":"`+visitor+`"}`))
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		_ = response.Body.Close()
	}
	count := func() any { return server.Do("ZSCORE", "tally:top:{default/likes}", "page") }
	looked := func() int { sent, _ := sentCommands(i); return sent["get"] } // whether somebody reads the gains
	first := looked()
	like("visitor-1") // it stores the rule of the metric
	processtest.Eventually(t, "the leaderboard has the like", func() bool { return fmt.Sprint(count()) == "-1" && looked() == first+1 })
	_, before := sentCommands(i)
	stats := commandStats(server)
	like("visitor-2")
	processtest.Eventually(t, "the leaderboard has the like", func() bool { return fmt.Sprint(count()) == "-2" && looked() == first+2 })
	if _, all := sentCommands(i); all-before != 4 {
		t.Errorf("a like took %d commands, want 1, 2 for leaderboard and directory, and 1 for gains that nobody reads", all-before)
	}
	if seen := since(server, stats); seen["evalsha"] != 3 || seen["publish"] != 1 {
		t.Errorf("a like executed %v", seen)
	}
	sent, _ := sentCommands(i)
	for _, name := range []string{"evalsha", "subscribe", "script|load", "scan"} {
		total := commandStats(server)[name]
		if got := sent[strings.TrimSuffix(name, "|load")]; got != total {
			t.Errorf("the metric counts %d × %s, Redis %d", got, name, total)
		}
	}
}

// With a far store an instance starts in few round trips.
// The test repeats because a busy machine may take longer than the delay between two steps.
func TestStart_RoundTrips(t *testing.T) {
	t.Parallel()
	const most = 5
	server := redistest.Start(t, redistest.Options{})
	least := 100
	for range 4 {
		proxy := redistest.StartProxy(t, server.Addr)
		proxy.Delay(50 * time.Millisecond)
		startInstanceAt(t, "redis://"+proxy.Addr, redisstore.Intervals{})
		rounds := proxy.Rounds()
		t.Logf("%d round trips", rounds)
		if least = min(least, rounds); least <= most {
			return
		}
	}
	t.Errorf("the start takes %d round trips, want at most %d", least, most)
}
