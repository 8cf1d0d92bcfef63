package hub

import (
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// releaseTopics gives back the topics of a command that is not carried out.
func (s *shard) releaseTopics(c *command) {
	if c.kind == subscribe {
		for _, t := range c.topics {
			s.releaseTopic(c.viewer, t)
		}
	}
}

// releaseTopic gives back a topic that v holds, or was about to.
func (s *shard) releaseTopic(v *Viewer, t *topic) {
	s.hub.release(t)
	v.Quota.Put()
}

// subscribe adds topics to v, in their order, and owes it a live event.
func (s *shard) subscribe(v *Viewer, topics []*topic) {
	if v.lives < maxLives {
		v.lives++
	}
	watches := v.watches(len(topics))
	if cap(v.subscriptions) == 0 {
		v.subscriptions = make([]subscription, 0, len(topics))
	}
	for _, t := range topics {
		l := &t.lists[s.index]
		if watches(l) {
			s.releaseTopic(v, t)
			continue
		}
		if len(v.subscriptions) >= s.hub.options.MaxTopicsPerViewer {
			refusal := AppendRefusal(nil, t.name.String(), tally.Errorf(tally.CodeTooManyTopics,
				"a connection watches at most %d topics", s.hub.options.MaxTopicsPerViewer))
			v.own = s.hub.options.Formats[v.format](v.own, refusal)
			s.releaseTopic(v, t)
			continue
		}
		if len(l.subscribers) == 0 {
			l.watched.Store(true)
			l.released = t.held.Load()
		}
		least := v.left[t.name]
		delete(v.left, t.name)
		l.subscribers = append(l.subscribers, subscriber{viewer: v, slot: int32(len(v.subscriptions))})
		v.subscriptions = append(v.subscriptions, subscription{list: l, sent: unsent(least), at: int32(len(l.subscribers) - 1)})
		if least > 0 {
			s.hub.raise(t, least)
		}
	}
}

// watches returns a test for whether v watches a list, to be asked about more of
// them, each of which v watches once it was asked about: by looking through few
// subscriptions, by a set of many.
func (v *Viewer) watches(more int) func(*list) bool {
	const few = 32
	if len(v.subscriptions)+more <= few {
		return func(l *list) bool {
			return slices.ContainsFunc(v.subscriptions, func(sub subscription) bool { return sub.list == l })
		}
	}
	set := make(map[*list]bool, len(v.subscriptions)+more)
	for _, sub := range v.subscriptions {
		set[sub.list] = true
	}
	return func(l *list) bool {
		found := set[l]
		set[l] = true
		return found
	}
}

// unsubscribe takes v from the lists of topics; it need not be on them.
func (s *shard) unsubscribe(v *Viewer, topics []*topic) {
	gone := make(map[*list]bool, len(topics))
	for _, t := range topics {
		gone[&t.lists[s.index]] = true
	}
	for i := len(v.subscriptions) - 1; i >= 0; i-- {
		if !gone[v.subscriptions[i].list] {
			continue
		}
		s.remember(v, &v.subscriptions[i])
		s.strike(v.subscriptions[i])
		last := len(v.subscriptions) - 1
		if i < last {
			moved := v.subscriptions[last]
			v.subscriptions[i] = moved
			moved.list.subscribers[moved.at].slot = int32(i)
		}
		v.subscriptions[last] = subscription{}
		v.subscriptions = v.subscriptions[:last]
	}
}

// remember notes up to which version v was sent the topic that it leaves.
func (s *shard) remember(v *Viewer, sub *subscription) {
	least := sub.least()
	if least == 0 {
		return
	}
	if v.left == nil {
		v.left = map[tally.Topic]int64{}
	}
	for topic := range v.left {
		if len(v.left) < s.hub.options.MaxTopicsPerViewer {
			break
		}
		delete(v.left, topic)
	}
	v.left[sub.list.topic.name] = least
}

// strike takes a subscription's viewer from its list.
func (s *shard) strike(sub subscription) {
	l := sub.list
	v := l.subscribers[sub.at].viewer
	last := len(l.subscribers) - 1
	if int(sub.at) < last {
		moved := l.subscribers[last]
		l.subscribers[sub.at] = moved
		moved.viewer.subscriptions[moved.slot].at = sub.at
	}
	l.subscribers[last] = subscriber{}
	l.subscribers = l.subscribers[:last]
	if last == 0 {
		l.watched.Store(false)
		l.subscribers, l.released = nil, nil
		s.schedule.remove(l)
	}
	s.releaseTopic(v, l.topic)
}
