package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxTopics is how many topics a call may name.
	maxTopics = 1000
	// topicsOfTop are the default and the greatest number of topics that
	// /v1/top returns.
	defaultTop, maxTop = 10, 100
)

// queried returns the values of a repeatable parameter of the address.
// Errors: bad_topic.
func (q *call) queried(name string) ([]string, error) {
	query, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, tally.Errorf(tally.CodeBadTopic, "the query's encoding is broken")
	}
	return query[name], nil
}

// counts answers GET /v1/counts.
func (a *API) counts(q *call) error {
	topics, err := q.queried("topic")
	if err != nil {
		return err
	}
	if len(topics) == 0 {
		return tally.Errorf(tally.CodeBadTopic, "name at least one topic: ?topic=site/metric/key")
	}
	visitor, err := q.namedVisitor("")
	if err != nil {
		return err
	}
	return a.answerCounts(q, topics, visitor)
}

// countsOfBody answers POST /v1/counts.
func (a *API) countsOfBody(q *call) error {
	l, err := q.list("visitor")
	if err != nil {
		return err
	}
	if !l.hasTopics {
		return tally.Errorf(tally.CodeBadBody, `the body names topics: {"topics":["site/metric/key"]}`)
	}
	visitor, err := q.namedVisitor(l.visitor)
	if err != nil {
		return err
	}
	return a.answerCounts(q, l.topics, visitor)
}

// list reads the body of a call for many topics.
func (q *call) list(also string) (list, error) {
	kind, err := q.kind()
	if err != nil {
		return list{}, err
	}
	if kind == formBody {
		return list{}, tally.Errorf(tally.CodeUnsupportedMediaType, "a list of topics is sent as JSON, as application/json or text/plain")
	}
	body, err := q.read()
	if err != nil {
		return list{}, err
	}
	return parseList(body, also)
}

// item is what a list has in one place: a topic, or why it is refused.
type item struct {
	at  int // among the topics read
	err error
}

func (a *API) answerCounts(q *call, names []string, visitor string) error {
	if len(names) > maxTopics {
		return tally.Errorf(tally.CodeTooManyTopics, "a call names at most %d topics; this one names %d", maxTopics, len(names))
	}
	if !q.trusted {
		if err := a.admitsAnywhere(q.page); err != nil {
			return err
		}
	}
	if err := a.mayRead(q, len(names)); err != nil {
		return err
	}
	items, topics := a.resolve(q, names)
	readings, err := a.readAll(q.r.Context(), topics, visitor)
	if err != nil {
		return err
	}
	answer := append(q.buffer[:0], `{"counts":[`...)
	stale := false
	for i, item := range items {
		if i > 0 {
			answer = append(answer, ',')
		}
		if item.err == nil {
			item.err = readings[item.at].Err
		}
		switch held, ok := a.heldOf(topics, item); {
		case ok:
			stale = true
			answer = appendStale(answer, held)
		case item.err != nil:
			stale = stale || unavailable(item.err)
			answer = append(answer, `{"topic":`...)
			answer = tally.AppendJSONString(answer, strings.ToValidUTF8(names[i], "\uFFFD"))
			answer = append(answer, `,"error":`...)
			answer = append(appendRefusal(answer, tally.AsError(item.err)), '}')
		case visitor != "":
			answer = appendMine(answer, readings[item.at])
		default:
			answer = tally.AppendFrame(answer, readings[item.at].Change)
		}
	}
	answer = append(answer, "]}"...)
	q.answerList(answer, visitor != "", stale)
	return nil
}

// resolve finds the topics that may be read among those named.
func (a *API) resolve(q *call, names []string) (items []item, topics []tally.Topic) {
	items, topics = make([]item, len(names)), make([]tally.Topic, 0, len(names))
	for i, name := range names {
		topic, err := a.catalog.Resolve(name)
		if err == nil && !q.trusted {
			err = a.admits(q.page, topic.Site())
		}
		if err != nil {
			items[i].err = err
			continue
		}
		items[i].at = len(topics)
		topics = append(topics, topic)
	}
	return items, topics
}

// readAll reads topics. Its error is that of all: where nothing could be read and
// nothing is held.
func (a *API) readAll(ctx context.Context, topics []tally.Topic, visitor string) ([]tally.Reading, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	readings, err := a.service.Read(ctx, topics, visitor)
	if err != nil && !unavailable(err) {
		return nil, err
	}
	if err != nil {
		readings = make([]tally.Reading, len(topics))
		for i := range readings {
			readings[i].Err = err
		}
	}
	var last error
	for i, reading := range readings {
		if reading.Err == nil {
			return readings, nil
		}
		last = reading.Err
		if _, ok := a.held(topics[i], last); ok {
			return readings, nil
		}
	}
	return nil, last
}

func (a *API) heldOf(topics []tally.Topic, item item) (tally.Change, bool) {
	if !unavailable(item.err) {
		return tally.Change{}, false
	}
	return a.hub.Held(topics[item.at])
}

// answerList answers with a list: to be kept and asked for again by its ETag,
// unless it speaks of a visitor or is old news.
func (q *call) answerList(answer []byte, personal, stale bool) {
	q.buffer = answer
	h := q.w.Header()
	switch {
	case personal:
		h["Cache-Control"] = privateNoStore
	case stale:
		h["Cache-Control"] = noStore
	default:
		h["Cache-Control"] = noCache
		if q.r.Method != http.MethodPost && q.notModified(contentTag(answer)) {
			return
		}
	}
	q.answerJSON(answer)
}

// contentTag returns an ETag of what is answered, the same on all instances.
func contentTag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// top answers GET /v1/top/{site}/{metric}.
func (a *API) top(q *call) error {
	site, metric := q.c.Param("site"), q.c.Param("metric")
	if err := a.catalog.Known(site, metric); err != nil {
		return err
	}
	if !q.trusted {
		if err := a.admits(q.page, site); err != nil {
			return err
		}
	}
	limit, err := q.limit()
	if err != nil {
		return err
	}
	if err := a.mayRead(q, limit); err != nil {
		return err
	}
	changes, err := a.service.Top(q.r.Context(), site, metric, limit)
	if err != nil {
		return err
	}
	answer := append(q.buffer[:0], `{"top":[`...)
	for i, change := range changes {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = tally.AppendFrame(answer, change)
	}
	q.answerList(append(answer, "]}"...), false, false)
	return nil
}

// limit reads ?limit=. One that is wrong is bad_amount, the code for a number
// that is not one of those allowed. Errors: bad_amount, bad_topic.
func (q *call) limit() (int, error) {
	values, err := q.queried("limit")
	if err != nil || len(values) == 0 {
		return defaultTop, err
	}
	limit, err := strconv.Atoi(values[0])
	if err != nil || len(values) > 1 || limit < 1 || limit > maxTop {
		return 0, tally.Errorf(tally.CodeBadAmount, "limit is a whole number from 1 to %d", maxTop)
	}
	return limit, nil
}
