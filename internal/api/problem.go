package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

var (
	problemType = []string{problem.Media}
	jsonType    = []string{"application/json"}
	htmlType    = []string{"text/html; charset=utf-8"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// refuse answers q with err: a problem document, or a small page where a browser
// would show it to a person. What the service did not expect is logged here, once.
func (q *call) refuse(err error) {
	e, status := problem.Of(err)
	if status == http.StatusInternalServerError {
		q.api.logger.Error("a request failed", "error", err, "method", q.r.Method, "route", q.stats.route, "request_id", q.requestID())
	}
	h := q.w.Header()
	problem.SetHeader(h, e, status, "GET, HEAD, OPTIONS")
	if strings.Contains(q.r.Header.Get("Accept"), "text/html") {
		h["Content-Type"] = htmlType
		h["Content-Security-Policy"] = errorPagePolicy
		h.Add("Vary", "Accept")
		q.answer(status, appendErrorPage(q.buffer[:0], status, e, q.back))
		return
	}
	h["Content-Type"] = problemType
	q.answer(status, problem.Append(q.buffer[:0], e, status, q.requestID()))
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
