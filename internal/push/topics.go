package push

import (
	"slices"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// errTooManyWatched refuses a topic because the hub watches as many as it may.
var errTooManyWatched = errFull("this instance watches as many topics as it may (--max-watched-topics)")

// errQuota refuses a topic because the client address watches as many as it may.
var errQuota = errFull("this address watches as many topics as it may, which is a share of --max-watched-topics")

// refusals are the errors of topics in a request, as frames of the client's transport. A nil
// *refusals drops them.
type refusals struct {
	encode hub.Encoder
	frames []byte
}

func (r *refusals) add(name string, err error) {
	if r != nil {
		r.frames = r.encode(r.frames, hub.AppendRefusal(nil, name, err))
	}
}

// resolve returns the topics with these names that exist and that admit allows.
func (s *Server) resolve(names []string, admit func(tally.Topic) error, refused *refusals) (topics []tally.Topic) {
	for _, name := range names {
		topic, err := s.catalog.Resolve(name)
		if err == nil {
			err = admit(topic)
		}
		if err != nil {
			refused.add(name, err)
			continue
		}
		topics = append(topics, topic)
	}
	return topics
}

// checkTopicCount checks the number of topics that a call names. Errors: too_many_topics.
func checkTopicCount(session Session) error {
	return tally.CheckTopicCount(max(len(session.Topics), len(session.Present)) + len(session.Refused))
}

// watchSession makes c watch, and be present on, the topics of its session.
func (s *Server) watchSession(c *conn, session Session, refused *refusals) {
	for _, each := range session.Refused {
		refused.add(each.Name, each.Err)
	}
	s.subscribe(c, s.resolve(session.Topics, session.Rights.Admit, refused), refused)
	s.enter(c, session.Present, session.Rights, refused)
}

// subscribe makes c watch topics.
func (s *Server) subscribe(c *conn, topics []tally.Topic, refused *refusals) {
	full, overQuota := s.hub.Subscribe(&c.Viewer, topics)
	for _, topic := range full {
		refused.add(topic.String(), errTooManyWatched)
	}
	for _, topic := range overQuota {
		refused.add(topic.String(), errQuota)
	}
	if len(full)+len(overQuota) > 0 {
		s.waiting.add(c, append(full, overQuota...))
	}
}

// unsubscribe makes c stop watching topics.
func (s *Server) unsubscribe(c *conn, topics []tally.Topic) {
	s.waiting.remove(c, topics)
	s.hub.Unsubscribe(&c.Viewer, topics)
}

// enter makes c present on the topics with these names.
func (s *Server) enter(c *conn, names []string, rights Rights, refused *refusals) {
	topics := s.resolve(names, func(topic tally.Topic) error {
		if s.catalog.Rule(topic).Kind != tally.Presence {
			return tally.Errorf(tally.CodeBadTopic, "%s does not count presence; readers does", topic.Metric())
		}
		return rights.Admit(topic)
	}, refused)
	isPresent := topicSet(c.present)
	for _, topic := range topics {
		switch {
		case isPresent[topic]:
		case len(c.present) >= tally.MaxTopics:
			refused.add(topic.String(), tally.Errorf(tally.CodeTooManyTopics, "a connection is present on at most %d topics", tally.MaxTopics))
		case !c.Quota.Acquire():
			refused.add(topic.String(), errQuota)
		case !s.presence.Enter(topic, func() bool { return rights.MayRecord(topic) }):
			c.Quota.Release()
			refused.add(topic.String(), errTooManyWatched)
		default:
			isPresent[topic] = true
			c.present = append(c.present, topic)
		}
	}
}

// leave ends the presence of c on topics. It ignores topics that c is not present on.
func (s *Server) leave(c *conn, topics []tally.Topic) {
	isLeft := topicSet(topics)
	c.present = slices.DeleteFunc(c.present, func(topic tally.Topic) bool {
		if isLeft[topic] {
			s.leaveTopic(c, topic)
		}
		return isLeft[topic]
	})
}

// leaveAll ends the presence of c on all topics.
func (s *Server) leaveAll(c *conn) {
	for _, topic := range c.present {
		s.leaveTopic(c, topic)
	}
	c.present = nil
}

func (s *Server) leaveTopic(c *conn, topic tally.Topic) {
	s.presence.Leave(topic)
	c.Quota.Release()
}

func topicSet(topics []tally.Topic) map[tally.Topic]bool {
	set := make(map[tally.Topic]bool, len(topics))
	for _, topic := range topics {
		set[topic] = true
	}
	return set
}
