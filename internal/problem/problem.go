// Package problem responds to HTTP requests with errors: problem documents (RFC 9457)
// with a stable code and a message for people, or small pages in a browser. All packages
// that serve HTTP import it. It is the one place that maps codes to statuses.
package problem

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

var statuses = map[tally.Code]int{
	tally.CodeBadTopic:             http.StatusBadRequest,
	tally.CodeBadVisitor:           http.StatusBadRequest,
	tally.CodeBadAmount:            http.StatusBadRequest,
	tally.CodeBadBody:              http.StatusBadRequest,
	tally.CodeTooManyTopics:        http.StatusBadRequest,
	tally.CodeNotAuthorized:        http.StatusUnauthorized,
	tally.CodeOriginNotAllowed:     http.StatusForbidden,
	tally.CodeBlocked:              http.StatusForbidden,
	tally.CodeSignedVisitor:        http.StatusForbidden,
	tally.CodeRoleNotAllowed:       http.StatusForbidden,
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

// Codes returns all codes with a status, sorted.
func Codes() []tally.Code { return slices.Sorted(maps.Keys(statuses)) }

// Of returns what a client may see of err, and its status. It hides the text of an error
// without a code that has a status.
func Of(err error) (*tally.Error, int) {
	e := tally.AsError(err)
	status, ok := statuses[e.Code]
	if !ok {
		return &tally.Error{Code: tally.CodeInternal, Message: "something went wrong on the server", Err: err}, http.StatusInternalServerError
	}
	return e, status
}

// Details are what an error response needs beside the error. All are optional.
type Details struct {
	RequestID string
	Allow     string       // methods of the address, for 405
	ReturnURL string       // link on a page; the caller has checked it
	Route     string       // for the log
	Log       *slog.Logger // of internal errors; nil for none
}

// Respond responds to r with err. It logs internal errors.
func Respond(w http.ResponseWriter, r *http.Request, err error, d Details) {
	e, status := Of(err)
	if status == http.StatusInternalServerError && d.Log != nil {
		d.Log.Error("a request failed", "error", err, "method", r.Method, "route", d.Route, "request_id", d.RequestID)
	}
	h := w.Header()
	h.Del("Etag")
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.FormatInt(e.RetrySeconds(), 10))
	case http.StatusMethodNotAllowed:
		if h.Get("Allow") == "" {
			h.Set("Allow", d.Allow)
		}
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="tallycast"`)
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") { // a browser shows it to a person
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Add("Vary", "Accept")
		w.WriteHeader(status)
		_, _ = w.Write(page(e, status, d.ReturnURL)) // the client may have disconnected
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = tally.NewEncoder(w).Encode(document{ // the client may have disconnected
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: e.Code, Detail: e.Message, RequestID: d.RequestID,
	})
}

// document is a problem document. The type about:blank means that the title is that of
// the status.
type document struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      tally.Code `json:"code"`
	Detail    string     `json:"detail"`
	RequestID string     `json:"request_id"`
}
