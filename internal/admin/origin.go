package admin

import (
	"crypto/subtle"
	"net/http"
	"path"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// refuseForeign keeps pages of other origins out of every call, whatever they know:
// no browser can then be made to guess tokens or to use a cookie.
// Errors: origin_not_allowed.
func (q *request) refuseForeign() error {
	switch site := q.r.Header.Get("Sec-Fetch-Site"); {
	case q.caller.Origin != "" && !q.caller.SameOrigin:
	case site == "cross-site" || site == "same-site":
	default:
		return nil
	}
	return tally.Errorf(tally.CodeOriginNotAllowed, "pages of other origins reach nothing below /admin")
}

// checkForgery holds a call that changes something, and came with a cookie, to have
// been made by our own page: the browser says so, and the page knows what the
// cookie's owner alone was told. Errors: origin_not_allowed.
func (q *request) checkForgery() error {
	if !q.caller.SameOrigin && q.r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return tally.Errorf(tally.CodeOriginNotAllowed, "with a cookie, a change comes from a page of this origin")
	}
	given := q.r.Header.Get("Tally-Csrf")
	if subtle.ConstantTimeCompare([]byte(given), []byte(q.session.csrf)) != 1 {
		return tally.Errorf(tally.CodeOriginNotAllowed, "with a cookie, a change has the header Tally-Csrf with what GET /admin/v1/session tells")
	}
	return nil
}

// tokenNames are what people would call a token in an address.
var tokenNames = []string{"token", "admin_token", "admin-token", "access_token", "authorization"}

// checkAddress refuses addresses that ask for something else than they seem to, and
// those that hold a token: they are logged and remembered everywhere.
// Errors: bad_topic, not_authorized.
func checkAddress(r *http.Request) error {
	query := r.URL.Query()
	for _, name := range tokenNames {
		if query.Has(name) {
			return unauthorized("a token is never sent in an address, which is logged and remembered; if it was the right one, change it")
		}
	}
	// The router would lead on to another topic than the one that was named.
	at := r.URL.EscapedPath()
	if clean := path.Clean(at); clean != strings.TrimSuffix(at, "/") {
		return tally.Errorf(tally.CodeBadTopic, "an address has no empty, . or .. segment")
	}
	return nil
}
