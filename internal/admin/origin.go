package admin

import (
	"crypto/subtle"
	"net/http"
	"path"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// rejectForeign refuses every call of a page of another origin, so that no browser can be
// made to guess tokens or to use a cookie. Errors: origin_not_allowed.
func (q *request) rejectForeign() error {
	site := q.r.Header.Get("Sec-Fetch-Site")
	if q.caller.Origin != "" && !q.caller.SameOrigin || site == "cross-site" || site == "same-site" {
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of other origins have no access to /admin")
	}
	return nil
}

// checkForgery verifies that a change with a cookie comes from the dashboard: the browser
// must say so, and the page must send the secret that only the session's owner received.
// Errors: origin_not_allowed.
func (q *request) checkForgery() error {
	if !q.caller.SameOrigin && q.r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return tally.Errorf(tally.CodeOriginNotAllowed, "a change with a cookie must come from a page of this origin")
	}
	given := q.r.Header.Get("Tally-Csrf")
	if subtle.ConstantTimeCompare([]byte(given), []byte(q.session.csrf)) != 1 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "a change with a cookie needs the header Tally-Csrf with the csrf that GET /admin/v1/session returns")
	}
	return nil
}

// tokenNames are the parameter names that people would use for a token in a URL.
var tokenNames = []string{"token", "admin_token", "admin-token", "access_token", "authorization"}

// checkURL refuses URLs that contain a token, since URLs are logged and remembered, and
// those that the router would redirect to another topic. Errors: bad_topic, not_authorized.
func checkURL(r *http.Request) error {
	query := r.URL.Query()
	for _, name := range tokenNames {
		if query.Has(name) {
			return unauthorized("never send a token in a URL, which is logged and remembered; if this was the admin token, change it")
		}
	}
	escaped := r.URL.EscapedPath()
	if path.Clean(escaped) != strings.TrimSuffix(escaped, "/") {
		return tally.Errorf(tally.CodeBadTopic, "a path must not contain an empty, . or .. segment")
	}
	return nil
}
