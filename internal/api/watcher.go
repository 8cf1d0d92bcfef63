package api

import (
	"context"
	"unique"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/tally"
)

// watcher is a client that watches topics, for its messages. It implements [push.Rights].
type watcher struct {
	caller
	agent unique.Handle[string] // shared, since many clients have the same
}

// Admit implements [push.Rights]. Errors: origin_not_allowed, rate_limited.
func (w *watcher) Admit(topic tally.Topic) error {
	if err := w.checkSite(topic.Site()); err != nil {
		return err
	}
	return w.takeReads(1)
}

// ParseAssertion implements [push.Rights]. The rules, the limits and the answer are those
// of POST. Errors: bad_body.
func (w *watcher) ParseAssertion(message []byte) (push.Assertion, error) {
	m, err := parseAssertMessage(message)
	if err != nil {
		return push.Assertion{}, err
	}
	return push.Assertion{ID: m.id, Start: func(done func([]byte, error)) {
		if w.hasToken(m.identity) {
			go w.startMessage(m, done) // ends when the token is verified, which may wait for its key
			return
		}
		w.startMessage(m, done)
	}}, nil
}

func (w *watcher) startMessage(m assertMessage, done func([]byte, error)) {
	assertion, err := w.assertionOf(m)
	if err != nil {
		done(nil, err)
		return
	}
	w.start(assertion, func(result tally.Result, err error) {
		if err == nil {
			done(appendResult(make([]byte, 0, 192), result), nil)
			return
		}
		if e := tally.AsError(err); e.Code == tally.CodeInternal {
			w.api.options.Logger.Error("an assertion failed", "error", err, "topic", m.topic)
		}
		done(nil, err)
	})
}

func (w *watcher) assertionOf(m assertMessage) (tally.Assertion, error) {
	if m.err != nil {
		return tally.Assertion{}, m.err
	}
	topic, err := w.resolve(name{text: m.topic})
	if err != nil {
		return tally.Assertion{}, err
	}
	return w.assertion(context.Background(), topic, m.assertionBody, w.agent.Value())
}
