package api

import (
	"net/netip"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
)

// watcher is a client that watches topics, for the check of topics that it names later.
type watcher struct {
	api       *API
	client    netip.Addr
	origin    requestOrigin
	isTrusted bool
}

// admit returns why the client may not watch topic, or nil.
// Errors: origin_not_allowed, rate_limited.
func (w *watcher) admit(topic tally.Topic) error {
	if w.isTrusted {
		return nil
	}
	if err := w.api.checkOrigin(w.origin, topic.Site()); err != nil {
		return err
	}
	if wait := w.api.limits.Read(w.client, 1); wait > 0 {
		return rateLimited(wait, "read limit reached: wait before watching more topics from this address (--read-limit)")
	}
	return nil
}

// session describes the client for package push.
func (q *call) session(topics, present topicNames) push.Session {
	w := &watcher{api: q.api, client: q.client.limitAddress, origin: q.origin, isTrusted: q.isTrusted}
	session := push.Session{Client: q.client.limitAddress, Admit: w.admit, Topics: topics.valid(), Present: present.valid()}
	for _, name := range append(topics.invalid(), present.invalid()...) {
		session.Refused = append(session.Refused, push.Refusal{Name: name, Err: errBrokenName})
	}
	if q.isTrusted {
		session.Client = netip.Addr{} // trusted calls have no limits
	}
	return session
}

// watch returns the session of a client that wants to watch topics, after the check of its
// origin. Errors: origin_not_allowed.
func (q *call) watch(topics, present topicNames) (push.Session, error) {
	if !q.isTrusted {
		if err := q.api.checkOriginAnywhere(q.origin, topics.texts, present.texts); err != nil {
			return push.Session{}, err
		}
	}
	return q.session(topics, present), nil
}

var errNoTopics = tally.Errorf(tally.CodeBadTopic, "name at least one topic to watch")

// stream serves GET /v1/stream.
func (a *API) stream(q *call) error {
	return a.eventStream(q, q.topicNames("topic"), q.topicNames("present"))
}

// streamOfBody serves POST /v1/stream.
func (a *API) streamOfBody(q *call) error {
	l, err := q.readList("present")
	if err != nil {
		return err
	}
	return a.eventStream(q, topicNames{texts: l.topics}, topicNames{texts: l.present})
}

func (a *API) eventStream(q *call, topics, present topicNames) error {
	session, err := q.watch(topics, present)
	if err != nil {
		return err
	}
	if len(topics.texts)+len(present.texts) == 0 {
		return errNoTopics
	}
	return a.push.EventStream(q.w, q.r, session)
}

// webSocket serves GET /v1/ws.
func (a *API) webSocket(q *call) error {
	session, err := q.watch(q.topicNames("topic"), q.topicNames("present"))
	if err != nil {
		return err
	}
	return a.push.WebSocket(q.w, q.r, session)
}
