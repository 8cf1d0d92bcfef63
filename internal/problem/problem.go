// Package problem writes refusals of the HTTP interface: problem documents (RFC
// 9457) with a stable code and a message for people.
//
// It is imported by whatever answers HTTP, and is the one place where a code gets
// its status.
package problem

import (
	"maps"
	"net/http"
	"slices"
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
	tally.CodeNotAuthorized:        http.StatusUnauthorized,
	tally.CodeOriginNotAllowed:     http.StatusForbidden,
	tally.CodeBlocked:              http.StatusForbidden,
	tally.CodeUnknownSite:          http.StatusNotFound,
	tally.CodeUnknownMetric:        http.StatusNotFound,
	tally.CodeUnknownKey:           http.StatusNotFound,
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

// Codes returns all codes that have a status, sorted.
func Codes() []tally.Code { return slices.Sorted(maps.Keys(statuses)) }

// Of returns what is shown of err, and its status. A code that has no status is
// shown as [tally.CodeInternal], with nothing of its text.
func Of(err error) (*tally.Error, int) {
	e := tally.AsError(err)
	status, ok := statuses[e.Code]
	if !ok {
		return &tally.Error{Code: tally.CodeInternal, Message: "something went wrong on the server", Err: err}, http.StatusInternalServerError
	}
	return e, status
}

// Media is the type of a problem document.
const Media = "application/problem+json"

// leastRetry is the Retry-After of a refusal that names none itself. The header
// counts whole seconds.
const leastRetry = time.Second

// SetHeader sets what goes with a refusal, save for its type: it is never kept, and
// says when to try again and, with allow, which methods there are.
func SetHeader(h http.Header, e *tally.Error, status int, allow string) {
	h.Del("Etag")
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := max(e.RetryAfter, leastRetry)
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	case http.StatusMethodNotAllowed:
		if h.Get("Allow") == "" {
			h.Set("Allow", allow)
		}
	}
}

// Append appends a problem document. Its type is about:blank, which says that the
// title is the status's own; what it is exactly, the code tells.
func Append(dst []byte, e *tally.Error, status int, requestID string) []byte {
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
