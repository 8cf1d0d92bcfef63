package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

var (
	noCache        = []string{"no-cache"}
	privateNoStore = []string{"private, no-store"}
)

// topic returns the topic in the path, if the page may use its site.
// Errors: bad_topic, unknown_site, unknown_metric, origin_not_allowed.
func (q *call) topic() (tally.Topic, error) {
	site, metric := q.c.Param("site"), q.c.Param("metric")
	key := strings.TrimPrefix(q.c.Param("key"), "/")
	topic, err := tally.NewTopic(site, metric, key)
	if err != nil {
		return tally.Topic{}, err
	}
	if err := q.api.catalog.Validate(site, metric); err != nil {
		return tally.Topic{}, err
	}
	if q.isTrusted {
		return topic, nil
	}
	return topic, q.api.checkOrigin(q.origin, site)
}

// visitorOf returns the visitor named in the body or in the Tally-Visitor header, or "".
// Errors: bad_visitor.
func (q *call) visitorOf(inBody string) (string, error) {
	if q.hasParameter("visitor") {
		return "", tally.Errorf(tally.CodeBadVisitor, "never send a visitor in a URL, which is logged; send it in the body or in the Tally-Visitor header")
	}
	headers := q.r.Header["Tally-Visitor"]
	if len(headers) == 0 {
		return inBody, nil
	}
	if inBody != "" && inBody != headers[0] {
		return "", tally.Errorf(tally.CodeBadVisitor, "the body and the Tally-Visitor header name two visitors")
	}
	return headers[0], tally.ValidateVisitor(headers[0])
}

// visitor returns the visitor that the request names, or one derived from the client
// address and the user agent. Errors: bad_visitor, store_unavailable.
func (a *API) visitor(q *call, topic tally.Topic, inBody string) (string, error) {
	visitor, err := q.visitorOf(inBody)
	switch {
	case err != nil || visitor != "":
		return visitor, err
	case q.isTrusted:
		return "", tally.Errorf(tally.CodeBadVisitor, "a call with the server token must name a visitor, since all these calls come from the same server")
	case q.client.hidingHeader != "" && q.client.viaProxy:
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header of a proxy named in --trusted-proxy contains none; name a visitor, or configure the proxy to send the address", q.client.hidingHeader)
	case q.client.hidingHeader != "":
		return "", tally.Errorf(tally.CodeBadVisitor, "the request names no visitor, and the client address is unknown: the %s header comes from a proxy that is not trusted; name a visitor, or the proxy with --trusted-proxy", q.client.hidingHeader)
	}
	return a.service.DerivedVisitor(q.client.limitAddress, q.r.UserAgent(), topic)
}

// readTopic serves GET /v1/{site}/{metric}/{key}.
func (a *API) readTopic(q *call) error {
	topic, err := q.topic()
	if err != nil {
		return err
	}
	visitor, err := q.visitorOf("")
	if err != nil {
		return err
	}
	if err := a.takeReads(q, 1); err != nil {
		return err
	}
	readings, err := a.service.Read(q.r.Context(), []tally.Topic{topic}, visitor)
	if err == nil {
		err = readings[0].Err
	}
	h := q.w.Header()
	if err != nil {
		held, ok := a.fallback(topic, err)
		if !ok {
			return err
		}
		h["Cache-Control"] = noStore // stale
		q.respondJSON(appendStale(q.buffer[:0], held))
		return nil
	}
	if visitor != "" {
		h["Cache-Control"] = privateNoStore
		q.respondJSON(appendMine(q.buffer[:0], readings[0]))
		return nil
	}
	h["Cache-Control"] = noCache
	if q.notModified(`"` + strconv.FormatInt(readings[0].Change.Version, 10) + `"`) {
		return nil
	}
	q.respondJSON(tally.AppendFrame(q.buffer[:0], readings[0].Change))
	return nil
}

// fallback returns the newest value of a watched topic if err means that the store is
// away.
func (a *API) fallback(topic tally.Topic, err error) (tally.Change, bool) {
	if !isUnavailable(err) {
		return tally.Change{}, false
	}
	return a.hub.Newest(topic)
}

// takeReads counts n topics against the read limit. Errors: rate_limited.
func (a *API) takeReads(q *call, n int) error {
	if q.isTrusted {
		return nil
	}
	if wait := a.limits.Read(q.client.limitAddress, n); wait > 0 {
		return rateLimited(wait, "read limit reached: wait before reading more topics from this address (--read-limit)")
	}
	return nil
}

// like serves POST and DELETE /v1/{site}/{metric}/{key}.
func (a *API) like(q *call) error {
	topic, err := q.topic()
	if err != nil {
		return err
	}
	kind, err := q.bodyKind()
	if err != nil {
		return err
	}
	body, err := q.readBody()
	if err != nil {
		return err
	}
	withdraws := q.r.Method == http.MethodDelete
	if kind == formBody && !withdraws {
		return a.likeByForm(q, topic, body)
	}
	assertion, err := parseAssertion(body)
	if err != nil {
		return err
	}
	amount := int64(1)
	switch {
	case withdraws && assertion.hasAmount && assertion.amount != 0:
		return tally.Errorf(tally.CodeBadAmount, "DELETE means the amount 0; use POST for another amount")
	case withdraws:
		amount = 0
	case assertion.hasAmount:
		amount = assertion.amount
	}
	visitor, err := a.visitor(q, topic, assertion.visitor)
	if err != nil {
		return err
	}
	result, err := a.assert(q, tally.Assertion{Topic: topic, Visitor: visitor, Amount: amount})
	if err != nil {
		return err
	}
	q.w.Header()["Cache-Control"] = privateNoStore
	answer := appendMine(q.buffer[:0], tally.Reading{Change: result.Change, Mine: result.Mine})
	answer = append(answer[:len(answer)-1], `,"changed":`...)
	answer = strconv.AppendBool(answer, result.Changed)
	q.respondJSON(append(answer, '}'))
	return nil
}

// assert makes an assertion within the limits of the client address. It creates topics
// with known keys. Trusted calls have no limits, and may create any topic.
// Errors: rate_limited, unknown_key and those of [tally.Service.Assert].
func (a *API) assert(q *call, assertion tally.Assertion) (tally.Result, error) {
	if q.isTrusted {
		assertion.MayCreate = true
		return a.service.Assert(q.r.Context(), assertion)
	}
	known := a.keys.MayCreate(assertion.Topic)
	ok, mayCreate, wait := a.limits.Write(q.client.limitAddress, known)
	if !ok {
		return tally.Result{}, rateLimited(wait, "rate limit reached: wait before the next contribution from this address (--rate-limit)")
	}
	assertion.MayCreate, assertion.Client = mayCreate, q.client.address
	result, err := a.service.Assert(q.r.Context(), assertion)
	if mayCreate {
		a.limits.Settle(q.client.limitAddress, result.Created)
	}
	switch {
	case errors.Is(err, tally.ErrWouldCreate) && !known:
		a.unknownKeys.Add(1)
		return result, tally.Errorf(tally.CodeUnknownKey,
			"the site %q counts known pages only, and %.300q is not one of them; a seed, the site map or a call with the server token makes it known", assertion.Topic.Site(), assertion.Topic.Key())
	case errors.Is(err, tally.ErrWouldCreate):
		a.limits.CountRefusedTopic()
		return result, rateLimited(wait, "topic limit reached: this address created as many new topics as it may (--new-topic-limit)")
	}
	return result, err
}

// appendMine appends a frame with the visitor's contribution.
func appendMine(dst []byte, reading tally.Reading) []byte {
	dst = tally.AppendFrame(dst, reading.Change)
	dst = append(dst[:len(dst)-1], `,"mine":`...)
	dst = strconv.AppendInt(dst, reading.Mine, 10)
	return append(dst, '}')
}

// appendStale appends the frame of a value from memory.
func appendStale(dst []byte, held tally.Change) []byte {
	dst = tally.AppendFrame(dst, held)
	return append(dst[:len(dst)-1], `,"stale":true}`...)
}
