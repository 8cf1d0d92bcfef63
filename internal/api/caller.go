package api

import (
	"context"
	"errors"
	"net/netip"
	"strconv"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// caller describes the sender of a call: the client, the origin of its page, the visitor in its
// headers, and whether it has the server token. It is fixed once the headers are read; a WebSocket
// keeps it for its messages, see watcher. Trusted callers have no limits, may use every site and may
// create any topic.
type caller struct {
	api       *API
	client    clientInfo
	origin    requestOrigin
	visitors  []string // values of Tally-Visitor
	tokens    []string // values of Tally-Visitor-Token
	isTrusted bool     // has the server token
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
	if wait := c.api.options.Limits.Read(c.client.limitAddress(), n); wait > 0 {
		return rateLimited(wait, "read limit reached: wait before reading or watching more topics from this address (--read-limit)")
	}
	return nil
}

// visitor returns the visitor of a call for site: the signed one if the body or the
// Tally-Visitor-Token header has a token, else the one named in the body or in the
// Tally-Visitor header, or "". Errors: bad_visitor, store_unavailable.
func (c *caller) visitor(ctx context.Context, site string, inBody identity) (string, error) {
	if c.hasToken(inBody) {
		return c.signedVisitor(ctx, site, inBody.token)
	}
	if len(c.visitors) == 0 {
		return inBody.visitor, nil
	}
	if inBody.visitor != "" && inBody.visitor != c.visitors[0] {
		return "", tally.Errorf(tally.CodeBadVisitor, "the body and the Tally-Visitor header name two visitors")
	}
	return c.visitors[0], tally.ValidateVisitor(c.visitors[0])
}

// hasToken reports whether the body or the headers have a token. If so, other names of a visitor are
// ignored, even if the token is invalid.
func (c *caller) hasToken(inBody identity) bool { return inBody.token != "" || len(c.tokens) > 0 }

// signedVisitor verifies the token in the body, or in the header.
// Errors: bad_visitor, store_unavailable.
func (c *caller) signedVisitor(ctx context.Context, site, inBody string) (string, error) {
	token := inBody
	for _, other := range c.tokens {
		if token == "" {
			token = other
		}
		if other != token {
			return "", tally.Errorf(tally.CodeBadVisitor, "the call has two visitor tokens")
		}
	}
	return c.api.options.VisitorTokens.Visitor(ctx, token, site)
}

// assertion returns the assertion of body to topic, by the visitor that the body or the headers name,
// or by one derived from the client address and the user agent. A token counts against the read
// limit, too, since its verification takes as long as a read.
// Errors: bad_amount, bad_visitor, rate_limited, signed_visitor_required, store_unavailable.
func (c *caller) assertion(ctx context.Context, topic tally.Topic, body assertionBody, agent string) (tally.Assertion, error) {
	rule := c.api.catalog.Rule(topic)
	amount, err := body.contribution(rule)
	if err == nil && c.hasToken(body.identity) {
		err = c.takeReads(1)
	}
	if err != nil {
		return tally.Assertion{}, err
	}
	visitor, err := c.visitor(ctx, topic.Site(), body.identity)
	switch {
	case err != nil || tally.IsSigned(visitor):
	case c.api.options.SignedSites[topic.Site()] && !rule.Final() && rule.Kind != tally.Presence:
		err = tally.Errorf(tally.CodeSignedVisitor, "the site %q takes contributions only from readers who signed in: send visitor_token, which the site's backend signs", topic.Site())
	case visitor == "":
		visitor, err = c.derivedVisitor(agent, topic)
	}
	return tally.Assertion{Topic: topic, Visitor: visitor, Amount: amount, Client: c.client.address}, err
}

// derivedVisitor returns the visitor of a call that names none, derived from the client
// address and the user agent. Errors: bad_visitor, store_unavailable.
func (c *caller) derivedVisitor(agent string, topic tally.Topic) (string, error) {
	switch {
	case c.isTrusted:
		return "", tally.Errorf(tally.CodeBadVisitor, "a call with the server token must name a visitor, since all calls of the server have one address")
	case c.client.hidingHeader != "" && c.client.viaProxy:
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header of a proxy named in --trusted-proxy contains none; name a visitor, or configure the proxy to send the address", c.client.hidingHeader)
	case c.client.hidingHeader != "":
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header comes from a proxy that is not trusted; name a visitor, or the proxy with --trusted-proxy", c.client.hidingHeader)
	}
	return c.api.options.Service.DerivedVisitor(c.client.limitAddress(), agent, topic)
}

// permit has what the limits of a client address allow for an assertion. That of a trusted caller is
// zero.
type permit struct {
	caller  *caller
	topic   tally.Topic
	isKnown bool // the key of the topic is known
	limits  ratelimit.Permit
}

// permit counts one write of the client address, and sets what the assertion may do. It must be
// followed by [permit.settle]. Errors: rate_limited.
func (c *caller) permit(a *tally.Assertion) (permit, error) {
	if c.isTrusted {
		a.MayCreate, a.Client = true, netip.Addr{}
		return permit{}, nil
	}
	p := permit{caller: c, topic: a.Topic, isKnown: c.api.options.Keys.MayCreate(a.Topic)}
	limits, wait := c.api.options.Limits.Write(c.client.limitAddress(), ratelimit.Write{
		Topic: a.Topic.String(), Creates: p.isKnown, Adds: mayReachTopicLimit(a),
	})
	if wait > 0 {
		return permit{}, rateLimited(wait, "rate limit reached: wait before the next contribution from this address (--rate-limit)")
	}
	p.limits, a.MayCreate, a.RefuseNew = limits, limits.MayCreate, !limits.MayAdd
	return p, nil
}

// mayReachTopicLimit reports whether --topic-limit may apply to an assertion. It does not apply to
// withdrawals and signed visitors; the store determines which of the others are new contributions.
func mayReachTopicLimit(a *tally.Assertion) bool { return a.Amount > 0 && !tally.IsSigned(a.Visitor) }

// settle counts the result of the assertion against the limits, and returns the error for the client.
// Errors: unknown_key, rate_limited and err.
func (p permit) settle(result tally.Result, err error) error {
	if p.caller == nil {
		return err
	}
	p.limits.Settle(result.Created, result.Added)
	switch {
	case errors.Is(err, tally.ErrWouldAdd):
		p.caller.api.options.Limits.CountRefusedAddition()
		return rateLimited(p.limits.WaitToAdd, "topic limit reached: wait before another visitor contributes to this topic from this address (--topic-limit)")
	case !errors.Is(err, tally.ErrWouldCreate):
		return err
	case !p.isKnown:
		p.caller.api.unknownKeys.Add(1)
		return tally.Errorf(tally.CodeUnknownKey,
			"the site %q counts known pages only, and %.300q is not one of them; a seed, the sitemap or a call with the server token makes it known", p.topic.Site(), p.topic.Key())
	}
	p.caller.api.options.Limits.CountRefusedTopic()
	return rateLimited(p.limits.WaitToCreate, "new topic limit reached: this address created as many new topics as it may (--new-topic-limit)")
}

// assert makes an assertion within the limits of the client address. It creates topics with known
// keys only. Errors: rate_limited, unknown_key and those of [tally.Service.Assert].
func (c *caller) assert(ctx context.Context, a tally.Assertion) (tally.Result, error) {
	p, err := c.permit(&a)
	if err != nil {
		return tally.Result{}, err
	}
	result, err := c.api.options.Service.Assert(ctx, a)
	return result, p.settle(result, err)
}

// appendResult appends the answer to an assertion.
func appendResult(dst []byte, result tally.Result) []byte {
	dst = appendReading(dst, tally.Reading{Change: result.Change, Mine: result.Mine}, true)
	dst = append(dst[:len(dst)-1], `,"changed":`...)
	return append(strconv.AppendBool(dst, result.Changed), '}')
}
