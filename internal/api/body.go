package api

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxBody bounds the body of a request, in bytes: 1,000 topics of usual length fit.
const maxBody = 64 << 10

// isForm reports whether the body is a form; otherwise it is JSON, which may be sent as
// text/plain, for which browsers send no preflight, or without a type.
// Errors: unsupported_media_type.
func (q *call) isForm() (bool, error) {
	text := q.r.Header.Get("Content-Type")
	switch text { // nearly all requests
	case "", "application/json", "text/plain;charset=UTF-8", "text/plain":
		return false, nil
	}
	kind, _, err := mime.ParseMediaType(text)
	isForm := kind == "application/x-www-form-urlencoded"
	if err != nil || !isForm && kind != "application/json" && kind != "text/plain" {
		return false, tally.Errorf(tally.CodeUnsupportedMediaType,
			"bodies of type %.80q are not supported; send JSON as application/json or text/plain, or a form as application/x-www-form-urlencoded", text)
	}
	return isForm, nil
}

// readBody returns the body, which is valid until the call ends.
// Errors: body_too_large, bad_body.
func (q *call) readBody() ([]byte, error) {
	if q.r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	q.body = q.body[:0]
	for {
		if len(q.body) == cap(q.body) {
			q.body = slices.Grow(q.body, 512)
		}
		n, err := q.r.Body.Read(q.body[len(q.body):cap(q.body)])
		q.body = q.body[:len(q.body)+n]
		if len(q.body) > maxBody {
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return q.body, nil
		}
		if err != nil {
			return nil, tally.Errorf(tally.CodeBadBody, "the body is incomplete")
		}
	}
}

var errTooLarge = tally.Errorf(tally.CodeBodyTooLarge, "the body has more than %d bytes", maxBody)

// listBody is the body of a call for several topics.
type listBody struct {
	identity
	topics, present []name
	hasTopics       bool
}

// parseList parses {"topics":[…]}. also has the names of further fields that the body may have:
// visitor and visitor_token, or present. Errors: bad_body, bad_visitor.
func parseList(body []byte, also ...string) (l listBody, err error) {
	fields, err := parseObject(body, `{"topics":["site/metric/key"]}`)
	if err != nil {
		return listBody{}, err
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[field]
		switch {
		case field != "topics" && !slices.Contains(also, field):
			return listBody{}, unknownFieldError(field, "topics, "+strings.Join(also, ", "))
		case string(raw) == "null":
		case field == "visitor" || field == "visitor_token":
			err = l.identity.set(field, raw)
		case field == "present":
			l.present, err = parseNames(field, raw)
		default:
			l.hasTopics = true
			l.topics, err = parseNames(field, raw)
		}
		if err != nil {
			return listBody{}, err
		}
	}
	return l, nil
}

// parseObject parses one JSON object. An empty body has no fields. Errors: bad_body.
func parseObject(body []byte, example string) (map[string]json.RawMessage, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, tally.Errorf(tally.CodeBadBody, "the body is not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, tally.Errorf(tally.CodeBadBody, "the body is not JSON: %v, at byte %d", syntax, syntax.Offset)
		}
		return nil, tally.Errorf(tally.CodeBadBody, "the body must be a JSON object such as %s", example)
	}
	return fields, nil
}

func parseString(raw json.RawMessage) (text string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil
	return text, ok
}

// parseNames parses a list of strings in a field.
func parseNames(field string, raw json.RawMessage) ([]name, error) {
	var texts []*string // nil for null, which a list of strings would take
	if json.Unmarshal(raw, &texts) != nil || slices.Contains(texts, nil) {
		return nil, tally.Errorf(tally.CodeBadBody, "%s must be a list of strings", field)
	}
	names := make([]name, len(texts))
	for i, text := range texts {
		names[i].text = *text
	}
	return names, nil
}

func unknownFieldError(name, known string) error {
	return tally.Errorf(tally.CodeBadBody, "there is no field %.60q here; the fields are %s", strings.ToValidUTF8(name, "\uFFFD"), known)
}
