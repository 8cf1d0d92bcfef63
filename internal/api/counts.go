package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// defaultTop and maxTop are the default and the maximum number of topics in /v1/top.
	defaultTop, maxTop = 10, 100
)

// counts serves GET /v1/counts.
func (a *API) counts(q *call) error {
	topics := q.topicNames("topic")
	if len(topics.texts) == 0 {
		return tally.Errorf(tally.CodeBadTopic, "name at least one topic: ?topic=site/metric/key")
	}
	visitor, err := q.visitorOf("")
	if err != nil {
		return err
	}
	return a.respondCounts(q, topics, visitor)
}

// countsOfBody serves POST /v1/counts.
func (a *API) countsOfBody(q *call) error {
	l, err := q.readList("visitor")
	if err != nil {
		return err
	}
	if !l.hasTopics {
		return tally.Errorf(tally.CodeBadBody, `the body must name topics: {"topics":["site/metric/key"]}`)
	}
	visitor, err := q.visitorOf(l.visitor)
	if err != nil {
		return err
	}
	return a.respondCounts(q, topicNames{texts: l.topics}, visitor)
}

// readList reads the body of a call for several topics. It may have the field also.
func (q *call) readList(also string) (listBody, error) {
	kind, err := q.bodyKind()
	if err != nil {
		return listBody{}, err
	}
	if kind == formBody {
		return listBody{}, tally.Errorf(tally.CodeUnsupportedMediaType, "send a list of topics as JSON, with Content-Type: application/json (curl --json does) or text/plain, and not as a form (as curl -d does)")
	}
	body, err := q.readBody()
	if err != nil {
		return listBody{}, err
	}
	return parseList(body, also)
}

// item is one topic of a list, or its error.
type item struct {
	index int // in the topics that are read
	err   error
}

func (a *API) respondCounts(q *call, named topicNames, visitor string) error {
	if err := tally.CheckTopicCount(len(named.texts)); err != nil {
		return err
	}
	if !q.isTrusted {
		if err := a.checkOriginAnywhere(q.origin, named.texts); err != nil {
			return err
		}
	}
	if err := a.takeReads(q, len(named.texts)); err != nil {
		return err
	}
	items, topics := a.resolve(q, named)
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
			item.err = readings[item.index].Err
		}
		switch held, ok := a.fallbackOf(topics, item); {
		case ok:
			stale = true
			answer = appendStale(answer, held)
		case item.err != nil:
			stale = stale || isUnavailable(item.err)
			answer = append(answer, `{"topic":`...)
			answer = tally.AppendJSONString(answer, strings.ToValidUTF8(named.texts[i], "\uFFFD"))
			answer = append(answer, `,"error":`...)
			answer = append(hub.AppendError(answer, item.err), '}')
		case visitor != "":
			answer = appendMine(answer, readings[item.index])
		default:
			answer = tally.AppendFrame(answer, readings[item.index].Change)
		}
	}
	answer = append(answer, "]}"...)
	q.respondList(answer, visitor != "", stale)
	return nil
}

// resolve returns an item for each name, and the topics to read.
func (a *API) resolve(q *call, named topicNames) (items []item, topics []tally.Topic) {
	items, topics = make([]item, len(named.texts)), make([]tally.Topic, 0, len(named.texts))
	for i, name := range named.texts {
		topic, err := a.catalog.Resolve(name)
		if named.broken[i] {
			err = errBrokenName
		}
		if err == nil && !q.isTrusted {
			err = a.checkOrigin(q.origin, topic.Site())
		}
		if err != nil {
			items[i].err = err
			continue
		}
		items[i].index = len(topics)
		topics = append(topics, topic)
	}
	return items, topics
}

// readAll reads topics. It returns an error if it could read none of them and none is in
// memory.
func (a *API) readAll(ctx context.Context, topics []tally.Topic, visitor string) ([]tally.Reading, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	readings, err := a.service.Read(ctx, topics, visitor)
	if err != nil && !isUnavailable(err) {
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
		if _, ok := a.fallback(topics[i], last); ok {
			return readings, nil
		}
	}
	return nil, last
}

func (a *API) fallbackOf(topics []tally.Topic, item item) (tally.Change, bool) {
	if !isUnavailable(item.err) {
		return tally.Change{}, false
	}
	return a.hub.Newest(topics[item.index])
}

// respondList responds with a list. A client may cache it and revalidate it by its ETag,
// unless it is personal, with a visitor's contributions, or stale.
func (q *call) respondList(answer []byte, personal, stale bool) {
	q.buffer = answer
	h := q.w.Header()
	switch {
	case personal:
		h["Cache-Control"] = privateNoStore
	case stale:
		h["Cache-Control"] = noStore
	default:
		h["Cache-Control"] = noCache
		if q.r.Method != http.MethodPost && q.notModified(contentETag(answer)) {
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
	if !q.isTrusted {
		if err := a.checkOrigin(q.origin, site); err != nil {
			return err
		}
	}
	limit, err := q.limit()
	if err != nil {
		return err
	}
	if err := a.takeReads(q, limit); err != nil {
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
	q.respondList(append(answer, "]}"...), false, false)
	return nil
}

// limit parses ?limit=. Errors: bad_body.
func (q *call) limit() (int, error) {
	text, found, err := q.parameter("limit")
	if err != nil || !found {
		return defaultTop, err
	}
	return tally.ParseLimit(text, maxTop)
}
