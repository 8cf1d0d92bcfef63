package admin

import (
	"bytes"
	"cmp"
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
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// maxBody is the maximum size of a body, in bytes: 1,000 seeds of the longest topics with
// every character escaped.
const maxBody = 4 << 20

// request is one HTTP request. Handlers call the use cases only through it.
type request struct {
	s       *shared
	w       http.ResponseWriter
	r       *http.Request
	caller  Caller
	session *session // nil if the request carries the token itself

	// Set when the call is authorized.
	access owner.Access
	owner  *owner.Service // sees the sites of access only
}

// requestKey is the key of the request in its context, from which the router's handlers take it.
type requestKey struct{}

// actor returns the name of the client in the audit log.
func (q *request) actor() string {
	return cmp.Or(q.caller.Actor, q.access.Actor(q.caller.Address.String()))
}

// detached returns the context of a change. It does not end when the client disconnects, so that
// a change of several steps is not left half done. Changes that may take long and can be repeated
// (prune, undo, forget) end with their client.
func (q *request) detached() context.Context { return context.WithoutCancel(q.r.Context()) }

// clearDeadlines removes the connection's deadlines after the whole request has arrived. Otherwise
// they would end the context and the response of a long call.
func (q *request) clearDeadlines() {
	connection := http.NewResponseController(q.w)
	// A connection without support for deadlines has none.
	_ = connection.SetReadDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Time{})
}

// jsonTypes are the media types of most bodies.
var jsonTypes = []string{"application/json"}

// checkType refuses bodies of other media types, in particular of those that an HTML form can send.
// Errors: unsupported_media_type.
func (q *request) checkType(types []string) error {
	text := q.r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(text)
	if err == nil && slices.Contains(types, media) {
		return nil
	}
	curl := ""
	if types[0] == jsonTypes[0] {
		curl = " (curl --json does)"
	}
	return tally.Errorf(tally.CodeUnsupportedMediaType, "bodies of type %.80q are not supported; send Content-Type: %s%s", text, strings.Join(types, " or "), curl)
}

// read reads the body, of at most limit bytes.
// Errors: body_too_large, bad_body, unsupported_media_type.
func (q *request) read(types []string, limit int64) ([]byte, error) {
	if err := q.checkType(types); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, tally.Errorf(tally.CodeBodyTooLarge, "the body has more than %d bytes", limit)
	case err != nil:
		return nil, tally.Errorf(tally.CodeBadBody, "the body is incomplete")
	}
	q.clearDeadlines()
	return body, nil
}

// decode decodes a JSON object of at most limit bytes into a struct. Errors: those of read.
func (q *request) decode(into any, limit int64) error {
	body, err := q.read(jsonTypes, limit)
	if err != nil {
		return err
	}
	if !utf8.Valid(body) {
		return tally.Errorf(tally.CodeBadBody, "the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return tally.Errorf(tally.CodeBadBody, "the body is not the JSON object that this call expects: %s", decodeProblem(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return tally.Errorf(tally.CodeBadBody, "the body has more than one JSON object")
	}
	return nil
}

// jsonNames are the names of the JSON types that Go kinds are decoded from.
var jsonNames = map[reflect.Kind]string{
	reflect.Int64:  "a whole number, in digits",
	reflect.String: "a string",
	reflect.Bool:   "true or false",
	reflect.Slice:  "a list",
	reflect.Struct: "an object",
}

// decodeProblem describes a decoding error for people.
func decodeProblem(err error) string {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	name := cmp.Or(strings.TrimPrefix(mismatch.Field, "scopeNames."), "it") // embedded in bodies
	expected := jsonNames[mismatch.Type.Kind()]
	if expected == "" {
		expected = "another type"
	}
	return fmt.Sprintf("%s is %s and must be %s", name, mismatch.Value, expected)
}

// respond responds with v as JSON, or without a body if v is nil.
func (q *request) respond(v any) {
	if v == nil {
		q.w.WriteHeader(http.StatusNoContent)
		return
	}
	var body bytes.Buffer
	if err := tally.NewEncoder(&body).Encode(v); err != nil {
		q.respondError(err)
		return
	}
	q.w.Header().Set("Content-Type", "application/json")
	_, _ = q.w.Write(body.Bytes()) // the client may have disconnected
}

// query parses the URL's query, which may have each of names once. Errors: bad_body.
func (q *request) query(names ...string) (url.Values, error) {
	values, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, tally.Errorf(tally.CodeBadBody, "the percent-encoding of the query is broken")
	}
	for name, given := range values {
		if !slices.Contains(names, name) {
			return nil, tally.Errorf(tally.CodeBadBody, "there is no parameter %.60q here; the parameters are %s", name, strings.Join(names, ", "))
		}
		if len(given) > 1 {
			return nil, tally.Errorf(tally.CodeBadBody, "the parameter %s is given twice", name)
		}
	}
	return values, nil
}

// defaultPage and maxPage are the default and the maximum number of items on a page.
const defaultPage, maxPage = 100, tally.MaxPortion

// parseLimit parses ?limit=. Errors: bad_body.
func parseLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	return tally.ParseLimit("limit", text, maxPage)
}

// scopeNames are the parts of a [tally.Scope] in a body or a query.
type scopeNames struct {
	Site   string `json:"site"`
	Metric string `json:"metric"`
	Prefix string `json:"prefix"`
}

// scopeQuery parses a query that has a scope and the parameters more.
// Errors: those of query and scope.
func (q *request) scopeQuery(more ...string) (url.Values, tally.Scope, error) {
	values, err := q.query(append([]string{"site", "metric", "prefix"}, more...)...)
	if err != nil {
		return nil, tally.Scope{}, err
	}
	scope, err := q.scope(scopeNames{values.Get("site"), values.Get("metric"), values.Get("prefix")})
	return values, scope, err
}

// scope returns the scope of a site, a metric of it and a prefix of keys.
// Errors: bad_body, unknown_site, unknown_metric.
func (q *request) scope(names scopeNames) (tally.Scope, error) {
	site, metric, prefix := names.Site, names.Metric, names.Prefix
	switch {
	case site == "" && metric != "":
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a metric needs a site")
	case metric == "" && prefix != "":
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a prefix needs a metric")
	case len(prefix) > tally.MaxKeyBytes:
		return tally.Scope{}, tally.Errorf(tally.CodeBadBody, "a prefix has at most %d bytes", tally.MaxKeyBytes)
	case site != "" && metric != "":
		if err := q.owner.Catalog().Validate(site, metric); err != nil {
			return tally.Scope{}, err
		}
	case site != "" && !slices.Contains(q.owner.Catalog().Sites(), site):
		return tally.Scope{}, tally.Errorf(tally.CodeUnknownSite, "there is no site %.60q; --site declares one", site)
	}
	return tally.Scope{Site: site, Metric: metric, Prefix: prefix}, nil
}

// resolve parses topics. Errors: bad_topic, unknown_site, unknown_metric, too_many_topics.
func (q *request) resolve(names []string) ([]tally.Topic, error) {
	if err := tally.CheckTopicCount(len(names)); err != nil {
		return nil, err
	}
	topics := make([]tally.Topic, len(names))
	for i, name := range names {
		topic, err := q.owner.Catalog().Resolve(name)
		if err != nil {
			e := tally.AsError(err)
			return nil, tally.Errorf(e.Code, "%.340q: %s", name, e.Message)
		}
		topics[i] = topic
	}
	return topics, nil
}
