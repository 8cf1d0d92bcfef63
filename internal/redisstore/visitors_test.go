package redisstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
)

// crowd likes topics without end, each time as somebody else, and remembers what
// was acknowledged.
type crowd struct {
	store  *redisstore.Store
	topics []tally.Topic
	quit   chan struct{}
	ended  sync.WaitGroup

	mu           sync.Mutex
	last         tally.Member                          // guarded by mu
	acknowledged map[tally.Topic]map[tally.Member]bool // guarded by mu
}

// gather starts a crowd of a few at each topic, until disperse or the test's end.
func gather(t testing.TB, store *redisstore.Store, topics ...tally.Topic) *crowd {
	t.Helper()
	c := &crowd{store: store, topics: topics, quit: make(chan struct{}), acknowledged: map[tally.Topic]map[tally.Member]bool{}}
	for _, topic := range topics {
		c.acknowledged[topic] = map[tally.Member]bool{}
		for range 2 {
			c.ended.Go(func() { c.like(topic) }) // ends with quit
		}
	}
	t.Cleanup(c.disperse)
	return c
}

func (c *crowd) like(topic tally.Topic) {
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		c.mu.Lock()
		c.last++
		member := c.last
		c.mu.Unlock()
		b := try(c.store, 1500*time.Millisecond, topic, 1, member)
		if b.Err != nil {
			time.Sleep(5 * time.Millisecond) // as a client would, longer
			continue
		}
		c.mu.Lock()
		c.acknowledged[topic][member] = true
		c.mu.Unlock()
	}
}

// disperse ends the crowd.
func (c *crowd) disperse() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.ended.Wait()
}

// heard returns how many likes of the topic were acknowledged.
func (c *crowd) heard(topic tally.Topic) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acknowledged[topic])
}

// goesOn waits until n more likes of each topic are acknowledged.
func (c *crowd) goesOn(t testing.TB, what string, n int) {
	t.Helper()
	for _, topic := range c.topics {
		before := c.heard(topic)
		eventually(t, "likes of "+topic.String()+" are acknowledged "+what, func() bool { return c.heard(topic) >= before+n })
	}
}

// afterFault is how long after a fault's end viewers may show something else than
// what is stored.
const afterFault = 5 * time.Second

// counts ends the crowd and asks: is every acknowledged like counted, and exactly
// once; do the viewers show what is stored?
func (c *crowd) counts(t testing.TB, viewers ...*viewer) {
	t.Helper()
	c.countsWith(t, 0, viewers...)
}

// countsWith is counts where one more liked each topic.
func (c *crowd) countsWith(t testing.TB, more tally.Member, viewers ...*viewer) {
	t.Helper()
	c.disperse()
	total := 0
	for _, topic := range c.topics {
		for _, v := range viewers {
			within(t, afterFault, "the viewer is live and shows what is stored of "+topic.String(), func() bool {
				stored := c.store.Read(context.Background(), []tally.Query{{Topic: topic}})[0]
				return stored.Err == nil && v.isLive() && v.of(topic) == stored.Change
			})
		}
		lost := 0
		for member := range c.acknowledged[topic] {
			if read(t, c.store, topic, member).Mine != 1 {
				lost++
			}
		}
		total += len(c.acknowledged[topic])
		if lost > 0 {
			t.Errorf("%d of %d acknowledged likes of %s are lost", lost, len(c.acknowledged[topic]), topic)
		}
		stored := countMembers(t, c.store, topic, c.last)
		if more != 0 {
			stored += read(t, c.store, topic, more).Mine
		}
		if count := read(t, c.store, topic, 0).Change.Count; stored != count {
			t.Errorf("%d like %s, counted are %d", stored, topic, count)
		}
	}
	t.Logf("%d likes were acknowledged", total)
}

// diary keeps what a store logs.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (d *diary) Write(text []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(text)
}

func (d *diary) logger() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

// lines returns those of a level that hold part.
func (d *diary) lines(level, part string) (lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range strings.Lines(d.text.String()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, part) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// tells checks that an error was logged in which each of the parts stands, and that
// there was no flood of errors.
func (d *diary) tells(t testing.TB, parts ...string) {
	t.Helper()
	const most = 6 // a fault has a few phases, and each may end and begin again
	all := d.lines("ERROR", "")
	if len(all) == 0 || len(all) > most {
		t.Errorf("%d errors are logged: %q", len(all), all)
	}
	for _, part := range parts {
		if len(d.lines("ERROR", part)) == 0 {
			t.Errorf("no error says %q: %q", part, all)
		}
	}
}
