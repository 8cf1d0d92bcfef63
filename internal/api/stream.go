package api

import (
	"net/netip"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
)

// watcher is what is remembered of a client that watches: enough to ask about
// topics that it names later.
type watcher struct {
	api     *API
	client  netip.Addr
	page    page
	trusted bool
}

// admit tells why the client may not watch topic.
// Errors: origin_not_allowed, rate_limited.
func (w *watcher) admit(topic tally.Topic) error {
	if w.trusted {
		return nil
	}
	if err := w.api.admits(w.page, topic.Site()); err != nil {
		return err
	}
	if wait := w.api.counting().read(w.client, w.api.now(), 1); wait > 0 {
		return limited(wait, "this address began to watch as many topics as it may (--read-limit)")
	}
	return nil
}

// session describes the client to those who will hold its connection.
func (q *call) session(topics, present []string) push.Session {
	w := &watcher{api: q.api, client: q.from.client, page: q.page, trusted: q.trusted}
	session := push.Session{Client: q.from.client, Admit: w.admit, Topics: topics, Present: present}
	if q.trusted {
		session.Client = netip.Addr{} // one's own servers skip address limits
	}
	return session
}

// watched reads what the address asks to watch and checks the origin.
// Errors: bad_topic, bad_visitor, origin_not_allowed.
func (q *call) watched() (topics, present []string, err error) {
	if !q.trusted {
		if err := q.api.admitsAnywhere(q.page); err != nil {
			return nil, nil, err
		}
	}
	if topics, err = q.queried("topic"); err != nil {
		return nil, nil, err
	}
	present, err = q.queried("present")
	return topics, present, err
}

var errNothingToWatch = tally.Errorf(tally.CodeBadTopic, "name at least one topic to watch")

// stream answers GET /v1/stream.
func (a *API) stream(q *call) error {
	topics, present, err := q.watched()
	if err != nil {
		return err
	}
	if len(topics)+len(present) == 0 {
		return errNothingToWatch
	}
	return a.push.EventStream(q.w, q.r, q.session(topics, present))
}

// streamOfBody answers POST /v1/stream.
func (a *API) streamOfBody(q *call) error {
	if _, _, err := q.watched(); err != nil {
		return err
	}
	l, err := q.list("present")
	if err != nil {
		return err
	}
	if len(l.topics)+len(l.present) == 0 {
		return errNothingToWatch
	}
	return a.push.EventStream(q.w, q.r, q.session(l.topics, l.present))
}

// webSocket answers GET /v1/ws.
func (a *API) webSocket(q *call) error {
	topics, present, err := q.watched()
	if err != nil {
		return err
	}
	return a.push.WebSocket(q.w, q.r, q.session(topics, present))
}
