package api

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxReturn bounds the return URL of a form, in bytes.
const maxReturn = 2048

// parseForm parses the fields amount or option, and return, which becomes the returnURL of the call.
// It refuses other fields, in particular a visitor, since a form in a page is the same for all
// readers. Errors: bad_body, bad_amount, bad_visitor.
func (q *call) parseForm(body []byte) (asserted assertionBody, err error) {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return asserted, tally.Errorf(tally.CodeBadBody, "the body is JSON, but its Content-Type is that of a form (as curl -d sends): use Content-Type: application/json, such as curl --json '{\"amount\":1}'")
	}
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return asserted, tally.Errorf(tally.CodeBadBody, "the encoding of the form is broken")
	}
	// First the return URL, so that the page of another error has its link.
	back := fields["return"]
	if len(back) != 1 || back[0] == "" {
		return asserted, tally.Errorf(tally.CodeBadBody, "a form must have the field return once, with the page to go back to; other clients send JSON, with Content-Type: application/json")
	}
	if q.returnURL, err = q.checkReturn(back[0]); err != nil {
		return asserted, err
	}
	for name, values := range fields {
		switch {
		case name == "return":
		case name == "visitor" || name == "visitor_token":
			return asserted, tally.Errorf(tally.CodeBadVisitor, "a form must not name a visitor, which would be the same for all readers of the page")
		case name != "amount" && name != "option":
			return asserted, unknownFieldError(name, "amount, option and return")
		case len(values) != 1:
			return asserted, tally.Errorf(tally.CodeBadBody, "a form must have the field %s once", name)
		default:
			if err := asserted.setNumber(name, values[0]); err != nil {
				return asserted, err
			}
		}
	}
	return asserted, nil
}

// checkReturn returns the URL that a form returns to. To prevent open redirects it must have the
// origin of the form, which is allowed for the site. A path is a page of the service.
// Errors: bad_body.
func (q *call) checkReturn(back string) (string, error) {
	bad := tally.Errorf(tally.CodeBadBody, "return must be a page of the origin that the form comes from")
	u, err := url.Parse(back)
	if err != nil || u.User != nil || u.Opaque != "" || len(back) > maxReturn || strings.Contains(back, `\`) || strings.IndexFunc(back, isSpaceOrControl) >= 0 {
		return "", bad
	}
	isOfSite := q.origin.text != "" && !q.origin.isOwn // the form is in a page of the site, not of the service
	host, _ := requestHost(q.r, q.client.viaProxy)
	target := u.Scheme + "://" + strings.ToLower(u.Host)
	isAllowed := false
	switch {
	case u.Scheme == "" && u.Host == "": // "//host" has a host
		isAllowed = !isOfSite && strings.HasPrefix(back, "/") && !strings.HasPrefix(back, "//")
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
	case isOfSite:
		isAllowed = withoutDefaultPort(target) == q.origin.text
	default:
		isAllowed = sameHost(target, host, false) || sameHost(target, q.r.Host, false)
	}
	if !isAllowed {
		return "", bad
	}
	return u.String(), nil
}

// withoutDefaultPort removes the default port of the scheme, as browsers do.
func withoutDefaultPort(target string) string {
	if strings.HasPrefix(target, "https:") {
		return strings.TrimSuffix(target, ":443")
	}
	return strings.TrimSuffix(target, ":80")
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// likeByForm is [API.like] for a form.
func (a *API) likeByForm(q *call, topic tally.Topic, body []byte) error {
	asserted, err := q.parseForm(body)
	if err != nil {
		return err
	}
	if a.catalog.Rule(topic).Final() {
		return tally.Errorf(tally.CodeUnsupportedMediaType, "a form cannot count visitors or views; send JSON")
	}
	if _, err := q.assertBody(topic, asserted); err != nil {
		return err
	}
	h := q.w.Header()
	h["Cache-Control"] = noStore
	h.Set("Location", q.returnURL)
	q.w.WriteHeader(http.StatusSeeOther)
	return nil
}
