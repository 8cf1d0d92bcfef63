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

// checkParameters refuses a visitor or a token in the URL. Errors: bad_visitor.
func (q *call) checkParameters() error {
	if len(q.names("visitor"))+len(q.names("visitor_token")) > 0 {
		return tally.Errorf(tally.CodeBadVisitor, "never send a visitor or a token in a URL, which is logged; send it in the body, or in the Tally-Visitor or Tally-Visitor-Token header")
	}
	return nil
}

// readTopic serves GET /v1/{site}/{metric}/{key}.
func (a *API) readTopic(q *call) error {
	topic, err := q.topic()
	if err != nil {
		return err
	}
	if err := q.checkParameters(); err != nil {
		return err
	}
	if err := q.takeReads(1); err != nil {
		return err
	}
	visitor, err := q.visitor(q.r.Context(), topic.Site(), identity{})
	if err != nil {
		return err
	}
	readings, err := a.read(q.r.Context(), []tally.Topic{topic}, visitor)
	if err != nil {
		return err
	}
	r := readings[0]
	etag := `"` + strconv.FormatInt(r.Change.Version, 10) + `"`
	q.respondReading(appendReading(q.buffer[:0], r, visitor != ""), visitor != "", r.IsStale, etag)
	return nil
}

// like serves POST and DELETE /v1/{site}/{metric}/{key}.
func (a *API) like(q *call) error {
	topic, err := q.topic()
	if err != nil {
		return err
	}
	isForm, err := q.isForm()
	if err != nil {
		return err
	}
	body, err := q.readBody()
	if err != nil {
		return err
	}
	withdraws := q.r.Method == http.MethodDelete
	if isForm && !withdraws {
		return a.likeByForm(q, topic, body)
	}
	asserted, err := parseAssertion(body)
	if err != nil {
		return err
	}
	asserted.withdraws = withdraws
	result, err := q.assertBody(topic, asserted)
	if err != nil {
		return err
	}
	q.w.Header()["Cache-Control"] = privateNoStore
	q.respondJSON(appendResult(q.buffer[:0], result))
	return nil
}

// assertBody makes the assertion of a body to topic.
func (q *call) assertBody(topic tally.Topic, body assertionBody) (tally.Result, error) {
	if err := q.checkParameters(); err != nil {
		return tally.Result{}, err
	}
	assertion, err := q.assertion(q.r.Context(), topic, body, q.r.UserAgent())
	if err != nil {
		return tally.Result{}, err
	}
	return q.assert(q.r.Context(), assertion)
}
