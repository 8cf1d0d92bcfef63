package redisstore

import (
	"log/slog"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// openCluster returns a store of a Cluster that is never connected to.
func openCluster(t testing.TB) *Store {
	s, err := Open("redis+cluster://127.0.0.1:1", tally.NewCatalog(nil, nil), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// answered is an error that Redis answered.
type answered string

func (a answered) Error() string { return string(a) }
func (answered) RedisError()     {}

// After any changes of the slot map, a watched topic is followed by the feed of its node and
// no other, once that is live; an unwatched topic by none.
func TestReassignTopics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := openCluster(t)
		watched := map[tally.Topic]bool{}
		var topics []tally.Topic
		for _, key := range []string{"a", "b", "c", "d"} {
			topic, err := tally.NewTopic("default", "likes", key)
			if err != nil {
				rt.Fatal(err)
			}
			topics = append(topics, topic)
		}
		owner := rapid.SampledFrom([]string{"10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"})
		rt.Repeat(map[string]func(*rapid.T){
			"assign": func(rt *rapid.T) {
				cut := rapid.IntRange(1, 16383).Draw(rt, "cut")
				s.topology.Assign([]redistopology.SlotRange{
					{First: 0, Last: cut - 1, Addr: owner.Draw(rt, "low")}, {First: cut, Last: 16383, Addr: owner.Draw(rt, "high")},
				})
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
			"reassign": func(rt *rapid.T) {
				for range 2 { // reassigned topics make a feed stale, and others wait for it
					for _, n := range s.nodes() {
						n.feed.reset(true) // as if it had a live session
						n.feed.mu.Lock()
						n.feed.live = true
						n.feed.mu.Unlock()
					}
					s.reassignTopics()
				}
				c := s.topology.SlotMap()
				followers := map[tally.Topic]int{}
				for _, n := range s.nodes() {
					for _, topic := range n.feed.wantedTopics() {
						followers[topic]++
						if s.feedOf(c, topic) != n.feed {
							rt.Errorf("%s is followed by the wrong node %s", topic, n.Addr)
						}
					}
				}
				for _, topic := range s.unassigned.wantedTopics() {
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
