package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

var (
	noCache        = []string{"no-cache"}
	privateNoStore = []string{"private, no-store"}
)

// pathTopic returns the topic in the path, whose key may end with an extension.
// Errors: bad_topic, unknown_site, unknown_metric.
func (q *call) pathTopic(extension string) (tally.Topic, error) {
	key := strings.TrimSuffix(strings.TrimPrefix(q.c.Param("key"), "/"), extension)
	topic, err := tally.NewTopic(q.c.Param("site"), q.c.Param("metric"), key)
	if err != nil {
		return tally.Topic{}, err
	}
	return topic, q.api.catalog.Validate(topic.Site(), topic.Metric())
}

// topic returns the topic in the path, if the page may use its site.
// Errors: bad_topic, unknown_site, unknown_metric, origin_not_allowed.
func (q *call) topic() (tally.Topic, error) {
	topic, err := q.pathTopic("")
	if err == nil {
		err = q.checkSite(topic.Site())
	}
	return topic, err
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

// visitor returns the visitor that the request names, or a derived one.
// Errors: bad_visitor, store_unavailable.
func (q *call) visitor(topic tally.Topic, inBody string) (string, error) {
	visitor, err := q.visitorOf(inBody)
	if err != nil || visitor != "" {
		return visitor, err
	}
	return q.derivedVisitor(q.r.UserAgent(), topic)
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
	if err := q.takeReads(1); err != nil {
		return err
	}
	readings, err := a.read(q.r.Context(), []tally.Topic{topic}, visitor)
	if err != nil {
		return err
	}
	r := readings[0]
	etag := `"` + strconv.FormatInt(r.Change.Version, 10) + `"`
	q.respondReading(r.appendJSON(q.buffer[:0], visitor != ""), visitor != "", r.isStale, etag)
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
	amount, err := assertion.contribution(a.catalog.Rule(topic), withdraws)
	if err != nil {
		return err
	}
	visitor, err := q.visitor(topic, assertion.visitor)
	if err != nil {
		return err
	}
	result, err := q.assert(q.r.Context(), tally.Assertion{Topic: topic, Visitor: visitor, Amount: amount})
	if err != nil {
		return err
	}
	q.w.Header()["Cache-Control"] = privateNoStore
	answer := reading{Reading: tally.Reading{Change: result.Change, Mine: result.Mine}}.appendJSON(q.buffer[:0], true)
	answer = append(answer[:len(answer)-1], `,"changed":`...)
	answer = strconv.AppendBool(answer, result.Changed)
	q.respondJSON(append(answer, '}'))
	return nil
}
