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

// resolved are the topics that a client named: those it may watch, and frames, as JSON,
// with the errors of the others.
type resolved struct {
	topics   []tally.Topic
	refusals [][]byte
}

// resolve looks up the topics that a client names.
func (s *Server) resolve(names []string, admit func(tally.Topic) error) (r resolved) {
	for _, name := range names {
		topic, err := s.catalog.Resolve(name)
		if err == nil {
			err = admit(topic)
		}
		if err != nil {
			r.refuse(name, err)
			continue
		}
		r.topics = append(r.topics, topic)
	}
	return r
}

// resolveSession looks up the topics of a session.
func (s *Server) resolveSession(session Session) resolved {
	r := s.resolve(session.Topics, session.Rights.Admit)
	for _, refused := range session.Refused {
		r.refuse(refused.Name, refused.Err)
	}
	return r
}

func (r *resolved) refuse(name string, err error) {
	r.refusals = append(r.refusals, hub.AppendRefusal(nil, name, err))
}

// checkTopicCount checks the number of topics that a call names. Errors: too_many_topics.
func checkTopicCount(session Session) error {
	return tally.CheckTopicCount(max(len(session.Topics), len(session.Present)) + len(session.Refused))
}

// subscribe makes c watch topics. It returns the refusals.
func (s *Server) subscribe(c *conn, topics []tally.Topic) (refusals [][]byte) {
	full, overQuota := s.hub.Subscribe(&c.Viewer, topics)
	for _, topic := range full {
		refusals = append(refusals, hub.AppendRefusal(nil, topic.String(), errTooManyWatched))
	}
	for _, topic := range overQuota {
		refusals = append(refusals, hub.AppendRefusal(nil, topic.String(), errQuota))
	}
	return refusals
}

// enter makes c present on the topics named. It returns the refusals.
func (s *Server) enter(c *conn, names []string, admit func(tally.Topic) error) (refusals [][]byte) {
	r := s.resolve(names, func(topic tally.Topic) error {
		if s.catalog.Rule(topic).Kind != tally.Presence {
			return tally.Errorf(tally.CodeBadTopic, "%s does not count presence; readers does", topic.Metric())
		}
		return admit(topic)
	})
	isPresent := topicSet(c.present)
	for _, topic := range r.topics {
		switch {
		case isPresent[topic]:
		case len(c.present) >= tally.MaxTopics:
			r.refuse(topic.String(), tally.Errorf(tally.CodeTooManyTopics, "a connection is present on at most %d topics", tally.MaxTopics))
		case !c.Quota.Acquire():
			r.refuse(topic.String(), errQuota)
		case !s.presence.Enter(topic):
			c.Quota.Release()
			r.refuse(topic.String(), errTooManyWatched)
		default:
			isPresent[topic] = true
			c.present = append(c.present, topic)
		}
	}
	return r.refusals
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
