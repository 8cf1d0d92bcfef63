package api

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxRequestID bounds a client's request id, in characters.
	maxRequestID = 64
	// maxKeptBuffer bounds a buffer that the next call uses again, in bytes.
	maxKeptBuffer = 16 << 10
)

var (
	jsonType = []string{"application/json"}
	htmlType = []string{"text/html; charset=utf-8"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// call is one request. Calls are reused: nothing may keep one after its handler returns.
type call struct {
	caller
	c     *gin.Context
	w     gin.ResponseWriter
	r     *http.Request
	stats *routeStats

	isConnection bool // it became a stream or a WebSocket, whose duration is not measured

	returnURL string // link on an error page, checked; or empty
	start     time.Duration
	id        string // request id; see requestID

	buffer []byte // of the response
	body   []byte // of the request
}

var calls = sync.Pool{New: func() any {
	return &call{buffer: make([]byte, 0, 512), body: make([]byte, 0, 512)}
}}

// handle returns a handler that calls f, and responds with the error that f returns.
func (a *API) handle(route string, f func(*call) error) gin.HandlerFunc {
	return a.handleBare(route, func(q *call) error {
		if err := q.prepare(); err != nil {
			return err
		}
		return f(q)
	})
}

// handleBare is handle without prepare.
func (a *API) handleBare(route string, f func(*call) error) gin.HandlerFunc {
	stats := a.requests.route(route)
	return func(c *gin.Context) {
		q := calls.Get().(*call)
		q.api, q.c, q.w, q.r, q.stats = a, c, c.Writer, c.Request, stats
		q.start = a.now()
		defer q.finish()
		q.identify()
		if err := f(q); err != nil {
			q.respondError(err)
		}
	}
}

// identify finds the client and the origin, and sets the headers of all responses.
func (q *call) identify() {
	q.client = q.api.clientOf(q.r)
	q.origin = q.api.originOf(q.r, q.client.viaProxy)
	q.visitors, q.tokens = q.r.Header["Tally-Visitor"], q.r.Header["Tally-Visitor-Token"]
	h := q.w.Header()
	h["X-Content-Type-Options"] = noSniff
	h["X-Request-Id"] = []string{q.requestID()}
}

// prepare sets the headers for origins and checks the server token, for all calls but those below
// /admin. Errors: origin_not_allowed, for a wrong server token.
func (q *call) prepare() error {
	setOriginHeaders(q.w.Header(), q.origin)
	if err := q.checkServerToken(); err != nil {
		return err
	}
	if q.client.isProxy && !q.isTrusted {
		q.api.observeProxy(q)
	}
	return nil
}

// checkServerToken makes the call trusted if it has the server token. It refuses a wrong token,
// since the mistake would otherwise show only when a limit is reached. Errors: origin_not_allowed.
func (q *call) checkServerToken() error {
	headers := q.r.Header["Authorization"]
	if len(headers) == 0 {
		return nil
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil // the header may be for a proxy that requires a password
	}
	if len(q.api.options.ServerToken) == 0 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "this service has no server token; set one with --server-token")
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(q.api.options.ServerToken)) != 1 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "the token in Authorization is not the one set with --server-token")
	}
	q.isTrusted = true
	return nil
}

// finish counts and logs the response and releases q. It recovers from a panic.
func (q *call) finish() {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		if q.w.Written() {
			q.api.options.Logger.Error("request failed after the response began", "error", err, "route", q.stats.route)
			panic(http.ErrAbortHandler) // closes the connection, since the response is incomplete
		}
		q.respondError(err)
	}
	q.stats.count(q.w.Status())
	if !q.isConnection {
		q.stats.measure(q.r.Method, q.api.now()-q.start)
	}
	if q.api.options.Logger.Enabled(context.Background(), slog.LevelDebug) {
		q.log()
	}
	buffer, body := q.buffer[:0], q.body[:0]
	if cap(buffer) > maxKeptBuffer {
		buffer = nil
	}
	if cap(body) > maxKeptBuffer {
		body = nil
	}
	*q = call{buffer: buffer, body: body}
	calls.Put(q)
}

func (q *call) log() {
	q.api.options.Logger.Debug("request", "method", q.r.Method, "path", q.r.URL.Path, "status", q.w.Status(),
		"took", q.api.now()-q.start, "client", q.client.limitAddress().String(), "origin", q.origin.text, "request_id", q.requestID())
}

// requestID returns the client's X-Request-Id if it is valid, or else a random prefix of
// the process and a counter.
func (q *call) requestID() string {
	if q.id != "" {
		return q.id
	}
	if ids := q.r.Header["X-Request-Id"]; len(ids) > 0 && isValidRequestID(ids[0]) {
		q.id = ids[0]
	} else {
		q.id = q.api.idPrefix + strconv.FormatUint(q.api.nextID.Add(1), 36)
	}
	return q.id
}

func isValidRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// respond responds with body, and stores it as the buffer of the call.
func (q *call) respond(status int, body []byte) {
	q.buffer = body
	if status != http.StatusOK {
		q.w.WriteHeader(status)
	}
	_, _ = q.w.Write(body) // the client may have disconnected
}

// respondJSON responds with 200 and a JSON body.
func (q *call) respondJSON(body []byte) {
	q.w.Header()["Content-Type"] = jsonType
	q.respond(http.StatusOK, body)
}

// notModified sets the ETag. It responds with 304 and returns true if the client of a GET
// or HEAD has that version.
func (q *call) notModified(etag string) bool {
	q.w.Header()["Etag"] = []string{etag}
	if !matchesETag(q.r.Header["If-None-Match"], etag) {
		return false
	}
	q.w.WriteHeader(http.StatusNotModified)
	q.w.WriteHeaderNow()
	return true
}

// matchesETag makes the weak comparison of RFC 9110, section 13.1.2.
func matchesETag(headers []string, etag string) bool {
	for _, header := range headers {
		for candidate := range strings.SplitSeq(header, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// respondError responds with err: a problem document, or a small page in a browser. It
// logs internal errors.
func (q *call) respondError(err error) {
	problem.Respond(q.w, q.r, err, problem.Details{
		RequestID: q.requestID(), Allow: "GET, HEAD, OPTIONS", ReturnURL: q.returnURL, Route: q.stats.route, Log: q.api.options.Logger,
	})
}

// rateLimited returns the error of a client address that must wait.
func rateLimited(wait time.Duration, format string, args ...any) error {
	e := tally.Errorf(tally.CodeRateLimited, format, args...)
	e.RetryAfter = wait
	return e
}
