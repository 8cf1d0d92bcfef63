package api

import (
	"errors"
	"time"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

var (
	jsonType = []string{"application/json"}
	htmlType = []string{"text/html; charset=utf-8"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// respondError responds with err: a problem document, or a small page in a browser. It
// logs internal errors.
func (q *call) respondError(err error) {
	problem.Respond(q.w, q.r, err, problem.Details{
		RequestID: q.requestID(), Allow: "GET, HEAD, OPTIONS", ReturnURL: q.returnURL, Route: q.stats.route, Log: q.api.logger,
	})
}

// rateLimited is the refusal of a client address that used up what it may.
func rateLimited(wait time.Duration, format string, args ...any) error {
	e := tally.Errorf(tally.CodeRateLimited, format, args...)
	e.RetryAfter = wait
	return e
}

// isUnavailable tells whether err says that the store cannot answer now.
func isUnavailable(err error) bool {
	var e *tally.Error
	return errors.As(err, &e) && e.Code == tally.CodeStoreUnavailable
}
