package admin

import (
	"crypto/subtle"
	"net/http"
	"path"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// rejectForeign refuses calls of pages of other origins, so that no page can make a browser guess
// tokens or use a cookie. Errors: origin_not_allowed.
func (q *request) rejectForeign() error {
	site := q.r.Header.Get("Sec-Fetch-Site")
	if q.caller.Origin != "" && !q.caller.SameOrigin || site == "cross-site" || site == "same-site" {
		return tally.Errorf(tally.CodeOriginNotAllowed, "pages of other origins have no access to /admin")
	}
	return nil
}

// checkForgery verifies that a change with a cookie comes from the dashboard: by the headers of the
// browser, and by the secret that only a page of this origin can read.
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

// tokenNames are the parameter names that a client may use by mistake for a token in a URL.
var tokenNames = []string{"token", "admin_token", "admin-token", "access_token", "authorization"}

// checkURL refuses URLs that contain a token, since URLs are in logs and histories, and URLs that the
// router would redirect to another topic. Errors: bad_topic, not_authorized.
func checkURL(r *http.Request) error {
	query := r.URL.Query()
	for _, name := range tokenNames {
		if query.Has(name) {
			return unauthorized("never send a token in a URL, since URLs are in logs and browser histories; if this was the admin token, change it")
		}
	}
	escaped := r.URL.EscapedPath()
	if path.Clean(escaped) != strings.TrimSuffix(escaped, "/") {
		return tally.Errorf(tally.CodeBadTopic, "a path must not contain an empty, . or .. segment")
	}
	return nil
}
