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
	v.Quota.Release()
}

// subscribe adds topics to v, in their order, and owes it a live event.
func (s *shard) subscribe(v *Viewer, topics []*topic) {
	if v.pendingLive < maxPendingLive {
		v.pendingLive++
	}
	watches := v.subscribedTo(len(topics))
	if cap(v.subscriptions) == 0 {
		v.subscriptions = make([]subscription, 0, len(topics))
	}
	for _, t := range topics {
		l := &t.byShard[s.index]
		if watches(l) {
			s.releaseTopic(v, t)
			continue
		}
		if len(v.subscriptions) >= s.hub.options.MaxTopicsPerViewer {
			refusal := AppendRefusal(nil, t.name.String(), tally.Errorf(tally.CodeTooManyTopics,
				"a connection watches at most %d topics", s.hub.options.MaxTopicsPerViewer))
			v.private = s.hub.options.Formats[v.format](v.private, refusal)
			s.releaseTopic(v, t)
			continue
		}
		if len(l.entries) == 0 {
			l.isWatched.Store(true)
			l.flushed = t.newest.Load()
		}
		least := v.sentBefore[t.name]
		delete(v.sentBefore, t.name)
		l.entries = append(l.entries, subscriber{viewer: v, slot: int32(len(v.subscriptions))})
		v.subscriptions = append(v.subscriptions, subscription{subscribers: l, sent: unsent(least), position: int32(len(l.entries) - 1)})
		if least > 0 {
			s.hub.raiseFloor(t, least)
		}
	}
}

// subscribedTo returns a test for whether v watches a list, to be asked about more of
// them, each of which v watches once it was asked about: by looking through few
// subscriptions, by a set of many.
func (v *Viewer) subscribedTo(more int) func(*subscribers) bool {
	const few = 32
	if len(v.subscriptions)+more <= few {
		return func(l *subscribers) bool {
			return slices.ContainsFunc(v.subscriptions, func(sub subscription) bool { return sub.subscribers == l })
		}
	}
	set := make(map[*subscribers]bool, len(v.subscriptions)+more)
	for _, sub := range v.subscriptions {
		set[sub.subscribers] = true
	}
	return func(l *subscribers) bool {
		found := set[l]
		set[l] = true
		return found
	}
}

// unsubscribe takes v from the lists of topics; it need not be on them.
func (s *shard) unsubscribe(v *Viewer, topics []*topic) {
	gone := make(map[*subscribers]bool, len(topics))
	for _, t := range topics {
		gone[&t.byShard[s.index]] = true
	}
	for i := len(v.subscriptions) - 1; i >= 0; i-- {
		if !gone[v.subscriptions[i].subscribers] {
			continue
		}
		s.rememberSent(v, &v.subscriptions[i])
		s.unlink(v.subscriptions[i])
		last := len(v.subscriptions) - 1
		if i < last {
			moved := v.subscriptions[last]
			v.subscriptions[i] = moved
			moved.subscribers.entries[moved.position].slot = int32(i)
		}
		v.subscriptions[last] = subscription{}
		v.subscriptions = v.subscriptions[:last]
	}
}

// rememberSent notes up to which version v was sent the topic that it leaves.
func (s *shard) rememberSent(v *Viewer, sub *subscription) {
	least := sub.minVersion()
	if least == 0 {
		return
	}
	if v.sentBefore == nil {
		v.sentBefore = map[tally.Topic]int64{}
	}
	for topic := range v.sentBefore {
		if len(v.sentBefore) < s.hub.options.MaxTopicsPerViewer {
			break
		}
		delete(v.sentBefore, topic)
	}
	v.sentBefore[sub.subscribers.topic.name] = least
}

// unlink takes a subscription's viewer from its list.
func (s *shard) unlink(sub subscription) {
	l := sub.subscribers
	v := l.entries[sub.position].viewer
	last := len(l.entries) - 1
	if int(sub.position) < last {
		moved := l.entries[last]
		l.entries[sub.position] = moved
		moved.viewer.subscriptions[moved.slot].position = sub.position
	}
	l.entries[last] = subscriber{}
	l.entries = l.entries[:last]
	if last == 0 {
		l.isWatched.Store(false)
		l.entries, l.flushed = nil, nil
		s.schedule.remove(l)
	}
	s.releaseTopic(v, l.topic)
}
