package redisstore_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// visitors like topics continuously, each like with a new member, and remember which likes
// were acknowledged.
type visitors struct {
	store  *redisstore.Store
	topics []tally.Topic
	quit   chan struct{}
	ended  sync.WaitGroup

	mu           sync.Mutex
	last         tally.Member                          // guarded by mu
	acknowledged map[tally.Topic]map[tally.Member]bool // guarded by mu
}

// startVisitors starts two visitors for each topic, until stop or the end of the test.
func startVisitors(t testing.TB, store *redisstore.Store, topics ...tally.Topic) *visitors {
	t.Helper()
	v := &visitors{store: store, topics: topics, quit: make(chan struct{}), acknowledged: map[tally.Topic]map[tally.Member]bool{}}
	for _, topic := range topics {
		v.acknowledged[topic] = map[tally.Member]bool{}
		for range 2 {
			v.ended.Go(func() { v.like(topic) }) // ends with quit
		}
	}
	t.Cleanup(v.stop)
	return v
}

func (v *visitors) like(topic tally.Topic) {
	for {
		select {
		case <-v.quit:
			return
		default:
		}
		v.mu.Lock()
		v.last++
		member := v.last
		v.mu.Unlock()
		b := assertAll(v.store, 1500*time.Millisecond, topic, 1, member)
		if b.Err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		v.mu.Lock()
		v.acknowledged[topic][member] = true
		v.mu.Unlock()
	}
}

// stop ends the visitors.
func (v *visitors) stop() {
	select {
	case <-v.quit:
	default:
		close(v.quit)
	}
	v.ended.Wait()
}

// count returns how many likes of the topic were acknowledged.
func (v *visitors) count(topic tally.Topic) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.acknowledged[topic])
}

// waitForMore waits until n more likes of each topic are acknowledged.
func (v *visitors) waitForMore(t testing.TB, when string, n int) {
	t.Helper()
	for _, topic := range v.topics {
		before := v.count(topic)
		processtest.Eventually(t, "likes of "+topic.String()+" are acknowledged "+when, func() bool { return v.count(topic) >= before+n })
	}
}

// afterFault is how long after the end of a fault viewers may show another value than the
// stored one.
const afterFault = 5 * time.Second

// check stops the visitors, and checks that every acknowledged like counts exactly once
// and that viewers show the stored counts. others also liked each topic.
func (v *visitors) check(t testing.TB, viewers []*viewer, others ...tally.Member) {
	t.Helper()
	v.stop()
	total := 0
	for _, topic := range v.topics {
		for _, viewer := range viewers {
			processtest.Within(t, afterFault, "the viewer is live and shows the stored count of "+topic.String(), func() bool {
				stored := v.store.Read(context.Background(), []tally.Query{{Topic: topic}})[0]
				return stored.Err == nil && viewer.isLive() && viewer.shown(topic) == stored.Change
			})
		}
		lost := 0
		for member := range v.acknowledged[topic] {
			if read(t, v.store, topic, member).Mine != 1 {
				lost++
			}
		}
		total += len(v.acknowledged[topic])
		if lost > 0 {
			t.Errorf("%d of %d acknowledged likes of %s are lost", lost, len(v.acknowledged[topic]), topic)
		}
		stored := countMembers(t, v.store, topic, v.last)
		for _, member := range others {
			stored += read(t, v.store, topic, member).Mine
		}
		if count := read(t, v.store, topic, 0).Change.Count; stored != count {
			t.Errorf("%s has %d members and the count %d", topic, stored, count)
		}
	}
	t.Logf("%d likes were acknowledged", total)
}

// logBuffer collects the log of a store.
type logBuffer struct{ processtest.LogBuffer }

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// lines returns the lines of a level that contain part.
func (b *logBuffer) lines(level, part string) (lines []string) {
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, part) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// checkErrors checks that errors with each of the parts were logged, and few in all.
func (b *logBuffer) checkErrors(t testing.TB, parts ...string) {
	t.Helper()
	const most = 6 // a fault has some phases, each of which may repeat
	all := b.lines("ERROR", "")
	if len(all) == 0 || len(all) > most {
		t.Errorf("%d errors are logged: %q", len(all), all)
	}
	for _, part := range parts {
		if len(b.lines("ERROR", part)) == 0 {
			t.Errorf("no error contains %q: %q", part, all)
		}
	}
}
