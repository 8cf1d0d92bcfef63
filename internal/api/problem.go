package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// statuses is the one place where a code gets its HTTP status.
var statuses = map[tally.Code]int{
	tally.CodeBadTopic:             http.StatusBadRequest,
	tally.CodeBadVisitor:           http.StatusBadRequest,
	tally.CodeBadAmount:            http.StatusBadRequest,
	tally.CodeBadBody:              http.StatusBadRequest,
	tally.CodeTooManyTopics:        http.StatusBadRequest,
	tally.CodeOriginNotAllowed:     http.StatusForbidden,
	tally.CodeUnknownSite:          http.StatusNotFound,
	tally.CodeUnknownMetric:        http.StatusNotFound,
	tally.CodeNotFound:             http.StatusNotFound,
	tally.CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	tally.CodeReadOnlyMetric:       http.StatusMethodNotAllowed,
	tally.CodeBodyTooLarge:         http.StatusRequestEntityTooLarge,
	tally.CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
	tally.CodeRateLimited:          http.StatusTooManyRequests,
	tally.CodeStoreUnavailable:     http.StatusServiceUnavailable,
	tally.CodeTooManyViewers:       http.StatusServiceUnavailable,
	tally.CodeInternal:             http.StatusInternalServerError,
}

// statusOf returns the status of a code, 500 for one that is not in the table.
func statusOf(code tally.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// leastRetry is the Retry-After of a refusal that names none itself. The header
// counts whole seconds.
const leastRetry = time.Second

var (
	problemType = []string{"application/problem+json"}
	jsonType    = []string{"application/json"}
	htmlType    = []string{"text/html; charset=utf-8"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// refuse answers q with err: a problem document, or a small page where a browser
// would show it to a person. What the service did not expect is logged here, once.
func (q *call) refuse(err error) {
	e := tally.AsError(err)
	status := statusOf(e.Code)
	if status == http.StatusInternalServerError {
		q.api.logger.Error("a request failed", "error", err, "method", q.r.Method, "route", q.stats.route, "request_id", q.requestID())
		if _, known := statuses[e.Code]; !known {
			e = &tally.Error{Code: tally.CodeInternal, Message: "something went wrong on the server"}
		}
	}
	h := q.w.Header()
	delete(h, "Etag")
	h["Cache-Control"] = noStore
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := max(e.RetryAfter, leastRetry)
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	case http.StatusMethodNotAllowed:
		if h.Get("Allow") == "" {
			h.Set("Allow", "GET, HEAD, OPTIONS")
		}
	}
	if strings.Contains(q.r.Header.Get("Accept"), "text/html") {
		h["Content-Type"] = htmlType
		h["Content-Security-Policy"] = errorPagePolicy
		h.Add("Vary", "Accept")
		q.answer(status, appendErrorPage(q.buffer[:0], status, e, q.back))
		return
	}
	h["Content-Type"] = problemType
	q.answer(status, appendProblem(q.buffer[:0], status, e, q.requestID()))
}

// appendProblem appends a problem document. Its type is about:blank, which says
// that the title is the status's own; what it is exactly, the code tells.
func appendProblem(dst []byte, status int, e *tally.Error, requestID string) []byte {
	dst = append(dst, `{"type":"about:blank","title":`...)
	dst = tally.AppendJSONString(dst, http.StatusText(status))
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"code":`...)
	dst = tally.AppendJSONString(dst, string(e.Code))
	dst = append(dst, `,"detail":`...)
	dst = tally.AppendJSONString(dst, strings.ToValidUTF8(e.Message, "\uFFFD"))
	dst = append(dst, `,"request_id":`...)
	dst = tally.AppendJSONString(dst, requestID)
	return append(dst, '}')
}

// appendRefusal appends the error object of lists: {"code":…,"message":…}.
func appendRefusal(dst []byte, e *tally.Error) []byte {
	dst = append(dst, `{"code":`...)
	dst = tally.AppendJSONString(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = tally.AppendJSONString(dst, strings.ToValidUTF8(e.Message, "\uFFFD"))
	return append(dst, '}')
}

const errorPageStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto 0;padding:0 1.5rem}` +
	`h1{font-size:1.5rem}small{opacity:.7}:root{color-scheme:light dark}`

// errorPagePolicy lets the page do nothing but be read, in its own dress.
var errorPagePolicy = func() []string {
	sum := sha256.Sum256([]byte(errorPageStyle))
	return []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"}
}()

// errorTitles say for people what went wrong, by status.
var errorTitles = map[int]string{
	http.StatusForbidden:           "This page may not do that",
	http.StatusNotFound:            "There is nothing here",
	http.StatusTooManyRequests:     "That was too fast",
	http.StatusServiceUnavailable:  "Please try again in a moment",
	http.StatusInternalServerError: "Something went wrong",
}

// appendErrorPage appends e as a page. back, where not empty, was checked.
func appendErrorPage(dst []byte, status int, e *tally.Error, back string) []byte {
	title, ok := errorTitles[status]
	if !ok {
		title = "That did not work"
	}
	dst = append(dst, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>`...)
	dst = append(dst, title...)
	dst = append(dst, `</title><style>`+errorPageStyle+`</style><h1>`...)
	dst = append(dst, title...)
	dst = append(dst, `</h1><p>`...)
	dst = append(dst, html.EscapeString(strings.ToValidUTF8(e.Message, "\uFFFD"))...)
	dst = append(dst, `</p>`...)
	if back != "" {
		dst = append(dst, `<p><a href="`...)
		dst = append(dst, html.EscapeString(back)...)
		dst = append(dst, `">Back to the page</a></p>`...)
	}
	dst = append(dst, `<p><small>`...)
	dst = append(dst, html.EscapeString(string(e.Code))...)
	return append(dst, `</small></p></html>`...)
}

// limited is the refusal of a client address that used up what it may.
func limited(wait time.Duration, format string, args ...any) error {
	e := tally.Errorf(tally.CodeRateLimited, format, args...)
	e.RetryAfter = wait
	return e
}

// unavailable tells whether err says that the store cannot answer now.
func unavailable(err error) bool {
	var e *tally.Error
	return errors.As(err, &e) && e.Code == tally.CodeStoreUnavailable
}
