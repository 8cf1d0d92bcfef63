package api

import (
	"errors"
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
	if problem.WantsPage(q.r) {
		problem.SetPageHeader(h)
		q.answer(status, problem.AppendPage(q.buffer[:0], e, status, q.back))
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
