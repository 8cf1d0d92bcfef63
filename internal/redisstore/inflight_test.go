package redisstore

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

// inFlight is a hook of go-redis that records how much work Redis has got and not answered. A like
// waits for it.
type inFlight struct {
	scripts map[string]string // hash to name

	mu sync.Mutex
	// Guarded by mu: by kind of work.
	now, most map[string]int
}

// recordInFlight records the work of a store from now on.
func recordInFlight(s *Store) *inFlight {
	h := &inFlight{scripts: map[string]string{}, now: map[string]int{}, most: map[string]int{}}
	for _, script := range allScripts {
		h.scripts[redis.NewScript(scriptSource(script.Name)).Hash()] = script.Name
	}
	for _, n := range s.topology.SlotMap().Nodes() {
		n.Client.AddHook(h)
	}
	return h
}

// work returns the work of a command by kind.
func (h *inFlight) work(command redis.Cmder) map[string]int {
	args := command.Args()
	switch command.Name() {
	case "getrange":
		return map[string]int{"journals": 1}
	case "scan":
		return map[string]int{"scans": 1}
	case "evalsha":
		arguments := args[3+args[2].(int):]
		hash, ok := args[1].(string)
		if !ok {
			hash = *args[1].(*string)
		}
		switch h.scripts[hash] {
		case "withdraw":
			const common, place = 7, 25 // arguments and bytes, see script/withdraw.lua
			topics, entries := 0, 0
			for of := range slices.Chunk(arguments[common:], arguments[1].(int)) {
				topics, entries = topics+1, entries+len(*of[1].(*string))/place
			}
			return map[string]int{"reverted topics": topics, "reverted entries": entries}
		case "top":
			return map[string]int{"ranked topics": (len(arguments) - 1) / 3}
		case "directory":
			return map[string]int{"ranked topics": len(arguments) / 2}
		case "follow":
			return map[string]int{"directory entries": arguments[2].(int)}
		}
	}
	return nil
}

func (h *inFlight) add(sign int, commands ...redis.Cmder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, command := range commands {
		for kind, n := range h.work(command) {
			h.now[kind] += sign * n
			h.most[kind] = max(h.most[kind], h.now[kind])
		}
	}
}

func (h *inFlight) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *inFlight) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		h.add(1, command)
		defer h.add(-1, command)
		return next(ctx, command)
	}
}

func (h *inFlight) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		h.add(1, commands...)
		defer h.add(-1, commands...)
		return next(ctx, commands)
	}
}

// Likes wait only briefly while topics are searched and reverted: Redis never has more of that work
// at once than it does in half a millisecond, and as much of the update of leaderboards.
func TestRevert_WorkInFlight(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.ranks.interval = 10 * time.Millisecond
	const topics = 600
	entries := 0
	for i := range topics {
		b := tally.Batch{Topic: numbered(t, "page", i)}
		n := 1
		if i%200 == 0 { // more than one call reverts
			n = 300
		}
		for member := range tally.Member(n) {
			b.Writes = append(b.Writes, tally.Write{Member: member + 1, Source: 1, Amount: 1, MayCreate: true})
		}
		entries += n
		batches := []tally.Batch{b}
		if f.Apply(t.Context(), batches); batches[0].Err != nil {
			t.Fatal(batches[0].Err)
		}
	}
	f.completeDirectories(t)
	now, err := f.minute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := recordInFlight(f.Store)
	f.search(t, now-10, 1<<40)
	var all []tally.JournalEntry
	err = f.Journal(t.Context(), tally.Scope{Site: tally.DefaultSite}, 0, 1<<40, func(some []tally.JournalEntry) error {
		all = append(all, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reverted, _, err := f.Revert(t.Context(), all, tally.RevertPast)
	if err != nil || len(reverted) != entries {
		t.Fatalf("%d of %d contributions were reverted, error %v", len(reverted), entries, err)
	}
	f.flushRanks(f.options.Timeout)
	h.mu.Lock()
	defer h.mu.Unlock()
	for kind, most := range map[string]int{
		"scans": 1, "directory entries": 1000, "journals": 256, "reverted topics": 16, "reverted entries": 128, "ranked topics": 50,
	} {
		if n := h.most[kind]; n == 0 || n > most {
			t.Errorf("Redis had up to %d %s to do at once, want at most %d", n, kind, most)
		}
	}
}
