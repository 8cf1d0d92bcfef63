package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxBody is the greatest size of a body in bytes: 1,000 seeds of the longest
// topics with every character escaped.
const maxBody = 4 << 20

// request is one call on its way through a handler.
type request struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	caller  Caller
	session *session // nil where the token itself came
}

type requestKey struct{}

// withRequest lets the router's handlers find the request.
func withRequest(ctx context.Context, q *request) context.Context {
	return context.WithValue(ctx, requestKey{}, q)
}

// actor is who the audit log says did it.
func (q *request) actor() string {
	if q.caller.Actor != "" {
		return q.caller.Actor
	}
	return "admin " + q.caller.Address.String()
}

// carriedThrough returns the context of a change: it does not end when the asker
// goes away, since what takes several steps is better ended than left half done.
func (q *request) carriedThrough() context.Context { return context.WithoutCancel(q.r.Context()) }

// unhurried lifts the limits on how long the request may take, once it has arrived and
// its sender is known to be the owner: the read deadline would end the context of
// whatever takes longer to answer, the write deadline the answer itself.
func (q *request) unhurried() {
	connection := http.NewResponseController(q.w)
	// A connection that knows no deadlines has none that could end anything.
	_ = connection.SetReadDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Time{})
}

// jsonKind is the type of body that nearly all calls take.
var jsonKind = []string{"application/json"}

// checkKind refuses bodies of other types: above all those that a form can send.
// Errors: unsupported_media_type.
func (q *request) checkKind(kinds []string) error {
	text := q.r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	for _, each := range kinds {
		if err == nil && kind == each {
			return nil
		}
	}
	curl := ""
	if kinds[0] == jsonKind[0] {
		curl = " (curl --json does)"
	}
	return tally.Errorf(tally.CodeUnsupportedMediaType, "a body of type %.80q is not understood; send it as Content-Type: %s%s", text, strings.Join(kinds, " or "), curl)
}

// read reads the body, of at most so many bytes.
// Errors: body_too_large, bad_body, unsupported_media_type.
func (q *request) read(kinds []string, most int64) ([]byte, error) {
	if err := q.checkKind(kinds); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, tally.Errorf(tally.CodeBodyTooLarge, "a body is at most %d bytes long here", most)
	case err != nil:
		return nil, tally.Errorf(tally.CodeBadBody, "the body ended before it was complete")
	}
	q.unhurried()
	return body, nil
}

// decode reads a JSON object into the fields of a struct.
// Errors: those of read.
func (q *request) decode(into any) error { return q.decodeUpTo(into, maxBody) }

// decodeUpTo is decode for bodies of at most so many bytes.
func (q *request) decodeUpTo(into any, most int64) error {
	body, err := q.read(jsonKind, most)
	if err != nil {
		return err
	}
	if !utf8.Valid(body) {
		return tally.Errorf(tally.CodeBadBody, "the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return tally.Errorf(tally.CodeBadBody, "the body is not the JSON object that is taken here: %s", misread(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return tally.Errorf(tally.CodeBadBody, "one JSON object is taken; something follows it")
	}
	return nil
}

// misread says for people what is wrong with a body.
func misread(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	name := wrong.Field
	if name == "" {
		name = "it"
	}
	should := "another kind of value"
	switch wrong.Type.Kind() {
	case reflect.Int64:
		should = "a whole number, in digits"
	case reflect.String:
		should = "a text"
	case reflect.Bool:
		should = "true or false"
	case reflect.Slice:
		should = "a list"
	case reflect.Struct:
		should = "an object"
	}
	return fmt.Sprintf("%s is %s, and should be %s", name, wrong.Value, should)
}

// answer answers with v as JSON.
func (q *request) answer(v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		q.refuse(err)
		return
	}
	q.w.Header().Set("Content-Type", "application/json")
	_, _ = q.w.Write(body.Bytes()) // the client may be gone; nobody is left to be told
}

// done answers that it was done, and nothing else.
func (q *request) done() { q.w.WriteHeader(http.StatusNoContent) }

// query reads the address's query, which has each of names at most once.
// Errors: bad_body.
func (q *request) query(names ...string) (url.Values, error) {
	values, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, tally.Errorf(tally.CodeBadBody, "the query's encoding is broken")
	}
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	for name, given := range values {
		if !known[name] {
			return nil, tally.Errorf(tally.CodeBadBody, "there is no parameter %.60q here; there are %s", name, strings.Join(names, ", "))
		}
		if len(given) > 1 {
			return nil, tally.Errorf(tally.CodeBadBody, "the parameter %s is given twice", name)
		}
	}
	return values, nil
}

// limitOf reads ?limit=. Errors: bad_body.
func limitOf(values url.Values, otherwise, most int) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return otherwise, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		return 0, tally.Errorf(tally.CodeBadBody, "the parameter limit is %.40q; it should be a whole number from 1 to %d", text, most)
	}
	return limit, nil
}

// scope checks a scope that somebody named.
// Errors: bad_body, unknown_site, unknown_metric.
func (s *Server) scope(site, metric, prefix string) (tally.Scope, error) {
	switch {
	case site == "" && metric != "":
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a metric is one of a site: name that too")
	case metric == "" && prefix != "":
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a prefix is one of a metric's keys: name that too")
	case len(prefix) > tally.MaxKeyBytes:
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a prefix is at most %d bytes long", tally.MaxKeyBytes)
	case site != "" && metric != "":
		if err := s.catalog.Validate(site, metric); err != nil {
			return tally.Scope{}, err
		}
	case site != "" && !slices.Contains(s.catalog.Sites(), site):
		return tally.Scope{}, tally.Errorf(tally.CodeUnknownSite, "there is no site %.60q here; --site declares one", site)
	}
	return tally.Scope{Site: site, Metric: metric, Prefix: prefix}, nil
}

// resolve reads topics. Errors: bad_topic, unknown_site, unknown_metric,
// too_many_topics.
func (s *Server) resolve(names []string) ([]tally.Topic, error) {
	if len(names) > maxTopics {
		return nil, tooManyTopics(len(names))
	}
	topics := make([]tally.Topic, len(names))
	for i, name := range names {
		topic, err := s.catalog.Resolve(name)
		if err != nil {
			e := tally.AsError(err)
			return nil, tally.Errorf(e.Code, "%.340q: %s", name, e.Message)
		}
		topics[i] = topic
	}
	return topics, nil
}

// maxTopics is how many topics a call may name.
const maxTopics = 1000

func tooManyTopics(n int) error {
	return tally.Errorf(tally.CodeTooManyTopics, "a call names at most %d topics; this one names %d", maxTopics, n)
}
