package hub

import (
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// releaseTopics releases the topics of a command that will not be executed.
func (s *shard) releaseTopics(c *command) {
	if c.kind == subscribe {
		for _, t := range c.topics {
			s.releaseTopic(c.viewer, t)
		}
	}
}

// releaseTopic releases a topic of v and its unit of the quota.
func (s *shard) releaseTopic(v *Viewer, t *topic) {
	s.hub.release(t)
	v.Quota.Release()
}

// subscribe adds topics to v in their order, and one pending live event.
func (s *shard) subscribe(v *Viewer, topics []*topic) {
	if v.pendingLive < maxPendingLive {
		v.pendingLive++
	}
	isSubscribed := v.subscribedTo(len(topics))
	if cap(v.subscriptions) == 0 {
		v.subscriptions = make([]subscription, 0, len(topics))
	}
	for _, t := range topics {
		if isSubscribed(t) {
			s.releaseTopic(v, t)
			continue
		}
		if len(v.subscriptions) >= s.hub.options.MaxTopicsPerViewer {
			refusal := AppendRefusal(nil, t.name.String(), tally.Errorf(tally.CodeTooManyTopics,
				"a connection watches at most %d topics", s.hub.options.MaxTopicsPerViewer))
			v.pending = s.hub.options.Formats[v.format](v.pending, refusal)
			s.releaseTopic(v, t)
			continue
		}
		subs := t.subscribersOf(s.index)
		if subs == nil {
			subs = &subscribers{topic: t, shard: uint16(s.index)}
			s.hub.topics.addSubscribers(subs)
			subs.flushed = t.newest.Load()
		}
		minVersion := v.sentBefore[t.name]
		delete(v.sentBefore, t.name)
		subs.entries = append(subs.entries, subscriber{viewer: v, slot: int32(len(v.subscriptions))})
		v.subscriptions = append(v.subscriptions, subscription{subscribers: subs, sent: notSent(minVersion), position: int32(len(subs.entries) - 1)})
		if minVersion > 0 {
			s.hub.raiseFloor(t, minVersion)
		}
	}
}

// subscribedTo returns a function that reports whether v watches a topic, or the function was
// called with it before. more is the number of topics to add. With few subscriptions the
// function searches them, with many it uses a set.
func (v *Viewer) subscribedTo(more int) func(*topic) bool {
	const few = 32
	if len(v.subscriptions)+more <= few {
		return func(t *topic) bool {
			return slices.ContainsFunc(v.subscriptions, func(sub subscription) bool { return sub.subscribers.topic == t })
		}
	}
	set := make(map[*topic]bool, len(v.subscriptions)+more)
	for _, sub := range v.subscriptions {
		set[sub.subscribers.topic] = true
	}
	return func(t *topic) bool {
		found := set[t]
		set[t] = true
		return found
	}
}

// unsubscribe removes v from the subscribers of topics. It ignores topics that v does
// not watch.
func (s *shard) unsubscribe(v *Viewer, topics []*topic) {
	removed := make(map[*topic]bool, len(topics))
	for _, t := range topics {
		removed[t] = true
	}
	for i := len(v.subscriptions) - 1; i >= 0; i-- {
		if !removed[v.subscriptions[i].subscribers.topic] {
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

// rememberSent stores the version last sent of a topic that v unsubscribes from. If there are
// too many such topics, it forgets any of them.
func (s *shard) rememberSent(v *Viewer, sub *subscription) {
	version := sub.minVersion()
	if version == 0 {
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
	v.sentBefore[sub.subscribers.topic.name] = version
}

// unlink removes the viewer of a subscription from the topic's subscribers.
func (s *shard) unlink(sub subscription) {
	subs := sub.subscribers
	v := subs.entries[sub.position].viewer
	last := len(subs.entries) - 1
	if int(sub.position) < last {
		moved := subs.entries[last]
		subs.entries[sub.position] = moved
		moved.viewer.subscriptions[moved.slot].position = sub.position
	}
	subs.entries[last] = subscriber{}
	subs.entries = subs.entries[:last]
	if last == 0 {
		subs.entries, subs.flushed = nil, nil
		s.hub.topics.removeSubscribers(subs)
	}
	s.releaseTopic(v, subs.topic)
}
