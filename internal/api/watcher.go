package api

import (
	"context"
	"net/netip"
	"sync"
	"unique"

	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// watcher describes a client that watches topics, for the messages that it sends. It implements
// [push.Rights]. Each WebSocket has one, so it is small: clients with the same headers share one page.
type watcher struct {
	api     *API
	address netip.Addr
	page    unique.Handle[watchedPage]
	named   *namedVisitor // usually nil
}

// watchedPage has the properties that many clients share.
type watchedPage struct {
	client    clientInfo // without address
	origin    requestOrigin
	isTrusted bool
	agent     string
}

// namedVisitor has the headers of a handshake that name the visitor.
type namedVisitor struct{ visitors, tokens []string }

func newWatcher(c *caller, agent string) *watcher {
	page := watchedPage{c.client, c.origin, c.isTrusted, agent}
	page.client.address = netip.Addr{}
	w := &watcher{api: c.api, address: c.client.address, page: unique.Make(page)}
	if len(c.visitors)+len(c.tokens) > 0 {
		w.named = &namedVisitor{c.visitors, c.tokens}
	}
	return w
}

// caller returns the caller of the handshake.
func (w *watcher) caller() caller {
	page := w.page.Value()
	c := caller{api: w.api, client: page.client, origin: page.origin, isTrusted: page.isTrusted}
	c.client.address = w.address
	if w.named != nil {
		c.visitors, c.tokens = w.named.visitors, w.named.tokens
	}
	return c
}

// Admit implements [push.Rights]. Errors: origin_not_allowed, rate_limited.
func (w *watcher) Admit(topic tally.Topic) error {
	c := w.caller()
	if err := c.checkSite(topic.Site()); err != nil {
		return err
	}
	return c.takeReads(1)
}

// MayRecord implements [push.Rights]. The store keeps records of presence, so a client address
// may begin at most as many histories as it may create topics. The two limits count separately,
// since readers open more pages than they like.
func (w *watcher) MayRecord(topic tally.Topic) bool {
	c := w.caller()
	if c.isTrusted {
		return true
	}
	if !c.api.options.Keys.MayCreate(topic) {
		return false
	}
	p, _ := c.api.options.PresenceLimits.Write(c.client.limitAddress(), ratelimit.Write{Creates: true})
	p.Settle(p.MayCreate, false)
	return p.MayCreate
}

// ParseAssertion implements [push.Rights]. Rules, limits and answers are those of POST.
// Errors: bad_body.
func (w *watcher) ParseAssertion(message []byte) (push.Assertion, error) {
	m, err := parseAssertMessage(message)
	if err != nil {
		return push.Assertion{}, err
	}
	a := &watcherAssertion{caller: w.caller(), message: m, agent: w.page.Value().agent}
	return push.Assertion{ID: m.id, Start: a.start}, nil
}

// watcherAssertion is an assertion on its way.
type watcherAssertion struct {
	caller  caller
	message assertMessage
	agent   string // user agent of the client
	permit  permit
	done    func(answer []byte, change tally.Change, err error)
}

func (a *watcherAssertion) start(done func([]byte, tally.Change, error)) {
	a.done = done
	if a.caller.hasToken(a.message.identity) {
		go a.run() // ends when the token is verified, which may wait for its key
		return
	}
	a.run()
}

func (a *watcherAssertion) run() {
	assertion, err := a.assertion()
	if err == nil {
		a.permit, err = a.caller.permit(&assertion)
	}
	if err != nil {
		a.done(nil, tally.Change{}, err)
		return
	}
	a.caller.api.options.Service.Start(assertion, a.finish)
}

func (a *watcherAssertion) assertion() (tally.Assertion, error) {
	m := &a.message
	if m.err != nil {
		return tally.Assertion{}, m.err
	}
	topic, err := a.caller.resolve(name{text: m.topic})
	if err != nil {
		return tally.Assertion{}, err
	}
	return a.caller.assertion(context.Background(), topic, m.assertionBody, a.agent)
}

// answers has buffers for answers, which are used again.
var answers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, 256)
	return &buffer
}}

// finish answers the assertion.
func (a *watcherAssertion) finish(result tally.Result, err error) {
	if err = a.permit.settle(result, err); err == nil {
		answer := answers.Get().(*[]byte)
		*answer = appendResult((*answer)[:0], result)
		a.done(*answer, result.Change, nil)
		answers.Put(answer)
		return
	}
	if e := tally.AsError(err); e.Code == tally.CodeInternal {
		a.caller.api.options.Logger.Error("an assertion failed", "error", err, "topic", a.message.topic)
	}
	a.done(nil, tally.Change{}, err)
}
