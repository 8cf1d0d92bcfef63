package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// defaultTop and maxTop are the default and the maximum number of topics in /v1/top.
const defaultTop, maxTop = 10, 100

// counts serves GET /v1/counts.
func (a *API) counts(q *call) error {
	topics := q.names("topic")
	if len(topics) == 0 {
		return tally.Errorf(tally.CodeBadTopic, "name at least one topic: ?topic=site/metric/key")
	}
	return a.respondCounts(q, topics, identity{})
}

// countsOfBody serves POST /v1/counts.
func (a *API) countsOfBody(q *call) error {
	l, err := q.readList("visitor", "visitor_token")
	if err != nil {
		return err
	}
	if !l.hasTopics {
		return tally.Errorf(tally.CodeBadBody, `the body must name topics: {"topics":["site/metric/key"]}`)
	}
	return a.respondCounts(q, l.topics, l.identity)
}

// readList reads the body of a call for several topics, which may have the further fields also.
func (q *call) readList(also ...string) (listBody, error) {
	isForm, err := q.isForm()
	if err != nil {
		return listBody{}, err
	}
	if isForm {
		return listBody{}, tally.Errorf(tally.CodeUnsupportedMediaType, "send a list of topics as JSON, with Content-Type: application/json (curl --json does) or text/plain, and not as a form (as curl -d does)")
	}
	body, err := q.readBody()
	if err != nil {
		return listBody{}, err
	}
	return parseList(body, also...)
}

// respondCounts responds with the states of the topics named, or their errors. The body
// may name a visitor.
func (a *API) respondCounts(q *call, names []name, inBody identity) error {
	if err := q.checkParameters(); err != nil {
		return err
	}
	if err := tally.CheckTopicCount(len(names)); err != nil {
		return err
	}
	if err := q.checkAnySite(names); err != nil {
		return err
	}
	if err := q.takeReads(len(names)); err != nil {
		return err
	}
	topics, refused, visitor, err := q.resolveAll(names, inBody)
	if err != nil {
		return err
	}
	readings, err := a.read(q.r.Context(), topics, visitor)
	if err != nil {
		return err
	}
	answer, isStale := append(q.buffer[:0], `{"counts":[`...), false
	for i, n := range names {
		if i > 0 {
			answer = append(answer, ',')
		}
		r := tally.Reading{Err: refused[i]}
		if r.Err == nil {
			r, readings = readings[0], readings[1:]
			isStale = isStale || r.IsStale || tally.IsUnavailable(r.Err)
		}
		if r.Err == nil {
			answer = appendReading(answer, r, visitor != "")
			continue
		}
		answer = append(answer, `{"topic":`...)
		answer = tally.AppendJSONString(answer, strings.ToValidUTF8(n.text, "\uFFFD"))
		answer = append(answer, `,"error":`...)
		answer = append(hub.AppendError(answer, r.Err), '}')
	}
	q.respondReading(append(answer, "]}"...), visitor != "", isStale, "")
	return nil
}

// resolveAll returns the topics that the caller may read, in the order of names, the error of each
// name that is refused, and the visitor. It returns an error if no site accepts the visitor.
func (q *call) resolveAll(names []name, inBody identity) (topics []tally.Topic, refused []error, visitor string, err error) {
	type answer struct {
		visitor string
		err     error
	}
	bySite := map[string]answer{} // a token may be valid for one site, and not for another
	isAccepted := false
	var refusal error // of the first site
	refused, topics = make([]error, len(names)), make([]tally.Topic, 0, len(names))
	for i, n := range names {
		topic, err := q.resolve(n)
		if err == nil {
			a, known := bySite[topic.Site()]
			if !known {
				a.visitor, a.err = q.visitor(q.r.Context(), topic.Site(), inBody)
				bySite[topic.Site()], refusal = a, cmp.Or(refusal, a.err)
			}
			err = a.err
		}
		if refused[i] = err; err == nil {
			topics, isAccepted = append(topics, topic), true
			visitor = bySite[topic.Site()].visitor
		}
	}
	if !isAccepted && refusal != nil {
		return nil, nil, "", refusal
	}
	return topics, refused, visitor, nil
}

// read reads topics: from the store, or, if the store is away, the newest values in memory, which are
// stale. It returns an error if it can read none of them.
func (a *API) read(ctx context.Context, topics []tally.Topic, visitor string) ([]tally.Reading, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	stored, err := a.options.Service.Read(ctx, topics, visitor)
	if err != nil && !tally.IsUnavailable(err) {
		return nil, err
	}
	readings, failed := make([]tally.Reading, len(topics)), 0
	for i, topic := range topics {
		r := &readings[i]
		if r.Err = err; err == nil {
			*r = stored[i]
		}
		if tally.IsUnavailable(r.Err) {
			if newest, ok := a.options.Hub.Newest(topic); ok {
				*r = tally.Reading{Change: newest, IsStale: true}
			}
		}
		if r.Err != nil {
			failed++
		}
	}
	if failed == len(topics) {
		return nil, readings[failed-1].Err
	}
	return readings, nil
}

// appendReading appends the frame of r, with the visitor's contribution if it is personal.
func appendReading(dst []byte, r tally.Reading, isPersonal bool) []byte {
	dst = tally.AppendFrame(dst, r.Change)
	switch {
	case r.IsStale:
		dst = markStale(dst)
	case isPersonal:
		dst = append(dst[:len(dst)-1], `,"mine":`...)
		dst = append(strconv.AppendInt(dst, r.Mine, 10), '}')
	}
	return dst
}

// markStale adds "stale" to a JSON object: its numbers may be old.
func markStale(object []byte) []byte { return append(object[:len(object)-1], `,"stale":true}`...) }

// respondReading responds with an answer that was read. Clients may cache it and revalidate it by
// etag, or by a hash of the answer if etag is empty. They may not if the answer is personal, which
// means that it has a visitor's contributions, or stale.
func (q *call) respondReading(answer []byte, isPersonal, isStale bool, etag string) {
	q.buffer = answer
	h := q.w.Header()
	switch {
	case isPersonal:
		h["Cache-Control"] = privateNoStore
	case isStale:
		h["Cache-Control"] = noStore
	default:
		h["Cache-Control"] = noCache
		if q.r.Method == http.MethodPost {
			break
		}
		if etag == "" {
			etag = contentETag(answer)
		}
		if q.notModified(etag) {
			return
		}
	}
	q.respondJSON(answer)
}

// contentETag returns the ETag of content, the same on all instances.
func contentETag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// top serves GET /v1/top/{site}/{metric}.
func (a *API) top(q *call) error {
	site, metric := q.c.Param("site"), q.c.Param("metric")
	if err := a.catalog.Validate(site, metric); err != nil {
		return err
	}
	if err := q.checkSite(site); err != nil {
		return err
	}
	limit, err := q.limit()
	if err != nil {
		return err
	}
	since, isSince, err := q.since()
	if err != nil {
		return err
	}
	if err := q.takeReads(limit); err != nil {
		return err
	}
	answer, isStale := append(q.buffer[:0], `{"top":[`...), false
	if isSince {
		var gains []tally.TopicGain
		gains, isStale, err = a.options.Service.TopGains(q.r.Context(), site, metric, since, limit)
		answer = appendList(answer, gains, tally.AppendGain)
	} else {
		var changes []tally.Change
		changes, isStale, err = a.options.Service.Top(q.r.Context(), site, metric, limit)
		answer = appendList(answer, changes, tally.AppendFrame)
	}
	if err != nil {
		return err
	}
	answer = append(answer, "]}"...)
	if isStale {
		answer = markStale(answer)
	}
	q.respondReading(answer, false, isStale, "")
	return nil
}

// since parses ?since=. Errors: bad_body.
func (q *call) since() (since tally.Since, found bool, err error) {
	text, found, err := q.parameter("since")
	if err == nil && found {
		since, err = tally.ParseSince(text)
	}
	return since, found, err
}

// appendList appends items separated by commas.
func appendList[T any](dst []byte, items []T, appendItem func([]byte, T) []byte) []byte {
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendItem(dst, item)
	}
	return dst
}

// limit parses ?limit=. Errors: bad_body.
func (q *call) limit() (int, error) {
	text, found, err := q.parameter("limit")
	if err != nil || !found {
		return defaultTop, err
	}
	return tally.ParseLimit("limit", text, maxTop)
}
