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

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxRequestID bounds, in characters, a request id taken from the client.
	maxRequestID = 64
	// maxKeptBuffer bounds, in bytes, what a call keeps for the next one.
	maxKeptBuffer = 16 << 10
)

// call is one request on its way through a handler. Calls are reused: nothing
// may hold one after its handler returned.
type call struct {
	api   *API
	c     *gin.Context
	w     gin.ResponseWriter
	r     *http.Request
	stats *routeStats

	client    clientInfo
	origin    requestOrigin
	isTrusted bool   // carries the server token
	returnURL string // where an error page links to, checked; or empty
	start     time.Duration
	id        string // request id; see requestID

	buffer []byte // what is answered
	body   []byte // what was read
}

var calls = sync.Pool{New: func() any {
	return &call{buffer: make([]byte, 0, 512), body: make([]byte, 0, 512)}
}}

// handle makes a handler of f for the route. Errors that f returns were not
// answered yet.
func (a *API) handle(route string, f func(*call) error) gin.HandlerFunc {
	stats := a.requests.route(route)
	return func(c *gin.Context) {
		q := calls.Get().(*call)
		q.api, q.c, q.w, q.r, q.stats = a, c, c.Writer, c.Request, stats
		q.start = a.now()
		defer q.finish()
		if err := q.begin(); err != nil {
			q.respondError(err)
		} else if err := f(q); err != nil {
			q.respondError(err)
		}
	}
}

// begin reads what every request may carry.
// Errors: origin_not_allowed, for a server token that is not ours.
func (q *call) begin() error {
	q.client = q.api.clientOf(q.r)
	q.origin = q.api.originOf(q.r, q.client.viaProxy)
	h := q.w.Header()
	setOriginHeaders(h, q.origin)
	h["X-Content-Type-Options"] = noSniff
	h["X-Request-Id"] = []string{q.requestID()}
	if err := q.checkServerToken(); err != nil {
		return err
	}
	if q.client.isProxy && !q.isTrusted {
		q.api.observeProxy(q)
	}
	return nil
}

// checkServerToken tells one's own servers from others. A token that is wrong is
// refused as origin_not_allowed, the contract's one code for "you are not whom
// we let do that"; to go on without it would hide the mistake behind limits that
// strike later.
func (q *call) checkServerToken() error {
	headers := q.r.Header["Authorization"]
	if len(headers) == 0 {
		return nil
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil // meant for somebody else, such as a proxy that asks for a password
	}
	if len(q.api.token) == 0 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "this service has no server token; --server-token sets one")
	}
	if subtle.ConstantTimeCompare([]byte(token), q.api.token) != 1 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "the token in Authorization is not the one that --server-token gave")
	}
	q.isTrusted = true
	return nil
}

// finish counts and logs what was answered, and gives q back. A panic ends here.
func (q *call) finish() {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		if q.w.Written() {
			q.api.logger.Error("a request failed while it was answered", "error", err, "route", q.stats.route)
			panic(http.ErrAbortHandler) // the answer is broken: so is the connection to be
		}
		q.respondError(err)
	}
	q.stats.count(q.w.Status())
	if q.api.logger.Enabled(context.Background(), slog.LevelDebug) {
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
	q.api.logger.Debug("request", "method", q.r.Method, "path", q.r.URL.Path, "status", q.w.Status(),
		"took", q.api.now()-q.start, "client", q.client.limitAddress.String(), "origin", q.origin.text, "request_id", q.requestID())
}

// requestID returns the client's X-Request-Id where it has a sane form, else one
// of our own: unique through a random prefix of the process and a counter.
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

// respond writes body, which it keeps as the call's buffer.
func (q *call) respond(status int, body []byte) {
	q.buffer = body
	if status != http.StatusOK {
		q.w.WriteHeader(status)
	}
	_, _ = q.w.Write(body) // the client may be gone; nobody is left to be told
}

// respondJSON is [call.respond] for a JSON body that went well.
func (q *call) respondJSON(body []byte) {
	q.w.Header()["Content-Type"] = jsonType
	q.respond(http.StatusOK, body)
}

// notModified answers 304 where the client has what etag names. On GET and HEAD
// only; etag is set either way.
func (q *call) notModified(etag string) bool {
	q.w.Header()["Etag"] = []string{etag}
	if !matchesETag(q.r.Header["If-None-Match"], etag) {
		return false
	}
	q.w.WriteHeader(http.StatusNotModified)
	q.w.WriteHeaderNow()
	return true
}

// matchesETag does the weak comparison of RFC 9110, section 13.1.2.
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
