package redisstore_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// withGains returns how to open stores that keep gains, and soon update and repair them.
func withGains(server *redistest.Server, url string) storeConfig {
	intervals := testIntervals
	intervals.Repair, intervals.RepairAgain = 20*time.Millisecond, 100*time.Millisecond
	intervals.GainsWait = 200 * time.Millisecond
	return storeConfig{server: server, url: url, options: redisstore.Options{
		History: tally.MaxHistory, TopInterval: 20 * time.Millisecond, Intervals: intervals,
	}}
}

// likePages has the members of each key like its page.
func likePages(t testing.TB, store *redisstore.Store, members map[string][]tally.Member) {
	t.Helper()
	for key, members := range members {
		like(t, store, topic(t, "default/likes/"+key), members...)
	}
}

// gains returns the gains of likes since 24 hours.
func gains(t testing.TB, store tally.GainRanker) (map[string]int64, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2800*time.Millisecond)
	defer cancel()
	gains, err := store.TopGains(ctx, "default", "likes", tally.Since24h, 100)
	found := map[string]int64{}
	for _, r := range gains {
		found[r.Topic.Key()] = r.Gain
	}
	return found, err
}

// awaitGains waits until the gains of likes since 24 hours are want.
func awaitGains(t testing.TB, store tally.GainRanker, want map[string]int64) {
	t.Helper()
	var got map[string]int64
	var err error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("gains %v, %v; want %v", got, err, want)
		}
	})
	processtest.Eventually(t, fmt.Sprintf("the gains are %v", want), func() bool {
		got, err = gains(t, store)
		return err == nil && maps.Equal(got, want)
	})
}

// The first reader gets changes that instances did not add to gains, since nobody read them.
func TestTopGains_ChangesBeforeFirstRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	c := withGains(server, server.URL(0))
	c.options.TopInterval = time.Hour           // the directory is not updated in time
	c.options.Intervals.GainsWait = time.Minute // of a busy machine
	prefix := newPrefix()
	first, second := c.connect(t, catalog(), prefix), c.connect(t, catalog(), prefix)
	likePages(t, first, map[string][]tally.Member{"a": {1, 2}, "b": {1}})
	processtest.Eventually(t, "the changes are not pending", func() bool {
		return server.Do("ZCARD", prefix+":topics:{default}") == int64(2)
	})
	if got, err := gains(t, second); err != nil || got["a"] != 2 || got["b"] != 1 {
		t.Errorf("the first read of gains gives %v, %v", got, err)
	}
}

// No command reads or writes the gains of many topics, since others wait for each command.
func TestTopGains_SmallCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	store := withGains(server, server.URL(0)).connect(t, catalog(), newPrefix())
	const topics, most = 400, 25
	likeAll := func(member tally.Member) {
		for i := range topics {
			like(t, store, topic(t, fmt.Sprintf("default/likes/page-%d", i)), member)
		}
	}
	awaitAll := func(gain int64) {
		t.Helper()
		processtest.Eventually(t, fmt.Sprintf("%d topics gained %d", topics, gain), func() bool {
			gains, err := store.TopGains(t.Context(), "default", "likes", tally.Since24h, topics)
			return err == nil && len(gains) == topics && gains[topics-1].Gain == gain
		})
	}
	likeAll(1)
	server.Do("CONFIG", "SET", "slowlog-max-len", 10_000, "slowlog-log-slower-than", 0)
	awaitAll(1) // the first read computes all
	likeAll(2)
	awaitAll(2)
	read, written := 0, 0
	for _, args := range slowCommands(server) { // EVALSHA, hash, number of keys, keys, arguments
		if args[0] != "evalsha" {
			continue
		}
		n := len(args)
		if _, err := fmt.Sscanf(args[n-1], "... (%d more arguments)", &n); err == nil {
			n += len(args) - 1
		}
		switch {
		case strings.HasSuffix(args[4], ":hours"):
			keys, _ := strconv.Atoi(args[2])
			read = max(read, keys/3)
		case strings.HasSuffix(args[3], ":changed") && args[2] == "4":
			written = max(written, (n-10)/6) // 10 come before the topics
		}
	}
	if read == 0 || read > most || written == 0 || written > most {
		t.Errorf("one command read the gains of %d topics, and one wrote those of %d; want at most %d", read, written, most)
	}
}

// A repair reads few topics in one command, since others wait for each command.
func TestRepair_SmallCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	server.Do("CONFIG", "SET", "slowlog-max-len", 10_000, "slowlog-log-slower-than", 0)
	prefix := newPrefix()
	const topics, most = 900, 200
	for i := range topics {
		server.Do("HSET", fmt.Sprintf("%s:{default/likes/page-%d}:count", prefix, i), "n", 1, "v", time.Now().UnixMicro())
	}
	store := withGains(server, server.URL(0)).connect(t, catalog(), prefix)
	startFeed(t, store)
	processtest.Eventually(t, "the directory is complete", func() bool {
		return server.Do("ZCARD", prefix+":topics:{default}") == int64(topics)
	})
	read := 0
	for _, args := range slowCommands(server) {
		if args[0] == "evalsha" && len(args) > 4 && strings.HasSuffix(args[3], ":count") && strings.HasSuffix(args[4], ":ended") {
			keys, _ := strconv.Atoi(args[2])
			read = max(read, keys/2)
		}
	}
	if read == 0 || read > most {
		t.Errorf("one command read %d topics; want at most %d", read, most)
	}
}

// slowCommands returns the commands in the slow log, each with its arguments. Redis cuts those after
// the first ones.
func slowCommands(server *redistest.Server) (commands [][]string) {
	entries, _ := server.Do("SLOWLOG", "GET", -1).([]any)
	for _, entry := range entries {
		var args []string
		for _, arg := range entry.([]any)[3].([]any) {
			args = append(args, fmt.Sprint(arg))
		}
		commands = append(commands, args)
	}
	return commands
}

// While the replica is the source, gains are read there. Otherwise, and if the replica does not
// have those of the hour, they are read at the primary.
func TestTopGains_Replica(t *testing.T) {
	t.Parallel()
	g := startRegion(t)
	g.awaitUse(t)
	near := g.near.Near()
	likePages(t, g.far, map[string][]tally.Member{"page": {2}, "other": {1}})
	awaitGains(t, near, map[string]int64{"page": 2, "other": 1})
	const reads = 5
	before := g.primary.Calls("evalsha")
	for range reads {
		if got, err := gains(t, near); err != nil || got["page"] != 2 {
			t.Errorf("the gains at the replica are %v, %v", got, err)
		}
	}
	if n := g.primary.Calls("evalsha") - before; n > reads { // probes are among them; a read has two
		t.Errorf("the primary ran %d scripts for %d reads", n, reads)
	}
	// The replica does not have the mark of a later reader yet.
	g.link.Delay(300 * time.Millisecond)
	g.primary.Do("DEL", g.prefix+":top:{default/likes}:read")
	g.primary.Do("WAIT", 1, 5000)
	likePages(t, g.far, map[string][]tally.Member{"other": {2, 3}})
	if got, err := gains(t, near); err != nil || got["other"] != 3 || got["page"] != 2 {
		t.Errorf("with a replica that is behind the gains are %v, %v", got, err)
	}
	g.link.Delay(0)
	awaitGains(t, near, map[string]int64{"page": 2, "other": 3})
	g.replica.Kill()
	likePages(t, g.far, map[string][]tally.Member{"other": {4}})
	awaitGains(t, near, map[string]int64{"page": 2, "other": 4})
}
