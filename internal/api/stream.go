package api

import (
	"net/http"
	"net/netip"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
)

// session describes a client that wants to watch topics, after the check of its origin.
// Errors: origin_not_allowed.
func (q *call) session(topics, present []name) (push.Session, error) {
	if err := q.checkAnySite(topics, present); err != nil {
		return push.Session{}, err
	}
	session := push.Session{
		Client: q.client.limitAddress(),
		Rights: newWatcher(&q.caller, q.r.UserAgent()),
	}
	if q.isTrusted {
		session.Client = netip.Addr{} // no limits
	}
	valid := func(names []name) (texts []string) {
		for _, n := range names {
			if n.isBroken {
				session.Refused = append(session.Refused, push.Refusal{Name: n.text, Err: errBrokenName})
			} else {
				texts = append(texts, n.text)
			}
		}
		return texts
	}
	session.Topics, session.Present = valid(topics), valid(present)
	return session, nil
}

// stream serves GET /v1/stream.
func (a *API) stream(q *call) error {
	return a.eventStream(q, q.names("topic"), q.names("present"))
}

// streamOfBody serves POST /v1/stream.
func (a *API) streamOfBody(q *call) error {
	l, err := q.readList("present")
	if err != nil {
		return err
	}
	return a.eventStream(q, l.topics, l.present)
}

func (a *API) eventStream(q *call, topics, present []name) error {
	session, err := q.session(topics, present)
	if err != nil {
		return err
	}
	if len(topics)+len(present) == 0 {
		return tally.Errorf(tally.CodeBadTopic, "name at least one topic to watch")
	}
	err = a.options.Push.EventStream(q.w, q.r, session)
	q.isConnection = err == nil
	return err
}

// webSocket serves GET /v1/ws.
func (a *API) webSocket(q *call) error {
	session, err := q.session(q.names("topic"), q.names("present"))
	if err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusSwitchingProtocols) // for metrics; an error replaces it
	err = a.options.Push.WebSocket(q.w, q.r, session)
	q.isConnection = err == nil
	return err
}
