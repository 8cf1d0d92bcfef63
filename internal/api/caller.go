package api

import (
	"context"
	"errors"

	"github.com/tallycast/tallycast/internal/tally"
)

// caller is who makes a call: the client, the origin of its page, and whether it has the
// server token. It is fixed once the headers are read; a WebSocket keeps a copy for its
// messages. Trusted callers have no limits, may use every site and may create any topic.
type caller struct {
	api       *API
	client    clientInfo
	origin    requestOrigin
	isTrusted bool // has the server token
}

// resolve returns the topic with that name, if the caller may use its site.
// Errors: bad_topic, unknown_site, unknown_metric, origin_not_allowed.
func (c *caller) resolve(n name) (tally.Topic, error) {
	if n.isBroken {
		return tally.Topic{}, errBrokenName
	}
	topic, err := c.api.catalog.Resolve(n.text)
	if err == nil {
		err = c.checkSite(topic.Site())
	}
	return topic, err
}

// takeReads counts n topics against the read limit. Errors: rate_limited.
func (c *caller) takeReads(n int) error {
	if c.isTrusted {
		return nil
	}
	if wait := c.api.options.Limits.Read(c.client.limitAddress, n); wait > 0 {
		return rateLimited(wait, "read limit reached: wait before reading or watching more topics from this address (--read-limit)")
	}
	return nil
}

// admit returns why the caller may not watch topic, or nil.
// Errors: origin_not_allowed, rate_limited.
func (c *caller) admit(topic tally.Topic) error {
	if err := c.checkSite(topic.Site()); err != nil {
		return err
	}
	return c.takeReads(1)
}

// derivedVisitor returns the visitor of a call that names none, derived from the client
// address and the user agent. Errors: bad_visitor, store_unavailable.
func (c *caller) derivedVisitor(agent string, topic tally.Topic) (string, error) {
	switch {
	case c.isTrusted:
		return "", tally.Errorf(tally.CodeBadVisitor, "a call with the server token must name a visitor, since all these calls come from the same server")
	case c.client.hidingHeader != "" && c.client.viaProxy:
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header of a proxy named in --trusted-proxy contains none; name a visitor, or configure the proxy to send the address", c.client.hidingHeader)
	case c.client.hidingHeader != "":
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header comes from a proxy that is not trusted; name a visitor, or the proxy with --trusted-proxy", c.client.hidingHeader)
	}
	return c.api.options.Service.DerivedVisitor(c.client.limitAddress, agent, topic)
}

// assert makes an assertion within the limits of the client address. It creates topics
// with known keys. Errors: rate_limited, unknown_key and those of [tally.Service.Assert].
func (c *caller) assert(ctx context.Context, assertion tally.Assertion) (tally.Result, error) {
	service, limits := c.api.options.Service, c.api.options.Limits
	if c.isTrusted {
		assertion.MayCreate = true
		return service.Assert(ctx, assertion)
	}
	known := c.api.options.Keys.MayCreate(assertion.Topic)
	ok, mayCreate, wait := limits.Write(c.client.limitAddress, known)
	if !ok {
		return tally.Result{}, rateLimited(wait, "rate limit reached: wait before the next contribution from this address (--rate-limit)")
	}
	assertion.MayCreate, assertion.Client = mayCreate, c.client.address
	result, err := service.Assert(ctx, assertion)
	if mayCreate {
		limits.Settle(c.client.limitAddress, result.Created)
	}
	switch {
	case errors.Is(err, tally.ErrWouldCreate) && !known:
		c.api.unknownKeys.Add(1)
		return result, tally.Errorf(tally.CodeUnknownKey,
			"the site %q counts known pages only, and %.300q is not one of them; a seed, the site map or a call with the server token makes it known", assertion.Topic.Site(), assertion.Topic.Key())
	case errors.Is(err, tally.ErrWouldCreate):
		limits.CountRefusedTopic()
		return result, rateLimited(wait, "topic limit reached: this address created as many new topics as it may (--new-topic-limit)")
	}
	return result, err
}
