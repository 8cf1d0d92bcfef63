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

// form is the body of a like without JavaScript.
type form struct {
	assertionBody
	returnURL string // where to go then; checked
}

// parseForm parses the fields amount or option, and return. It refuses others, in particular a
// visitor, since a form on a page is the same for everybody.
// Errors: bad_body, bad_amount, bad_visitor.
func (a *API) parseForm(q *call, body []byte) (form, error) {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return form{}, tally.Errorf(tally.CodeBadBody, "the body is JSON, but it is sent as a form (curl -d does that): send it with Content-Type: application/json, such as curl --json '{\"amount\":1}'")
	}
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, tally.Errorf(tally.CodeBadBody, "the encoding of the form is broken")
	}
	var f form
	// First the return URL, so that the page of any other error has it.
	back := fields["return"]
	if len(back) != 1 || back[0] == "" {
		return form{}, tally.Errorf(tally.CodeBadBody, "a form must have the field return once, with the page to go back to; other clients send JSON, with Content-Type: application/json")
	}
	if f.returnURL, err = a.checkReturn(q, back[0]); err != nil {
		return form{}, err
	}
	q.returnURL = f.returnURL
	for name, values := range fields {
		switch {
		case name == "return":
		case name == "visitor":
			return form{}, tally.Errorf(tally.CodeBadVisitor, "a form must not name a visitor, which would be the same for everybody who loads the page")
		case name != "amount" && name != "option":
			return form{}, unknownFieldError(name, "amount, option and return")
		case len(values) != 1:
			return form{}, tally.Errorf(tally.CodeBadBody, "a form must have the field %s once", name)
		default:
			if err := f.setNumber(name, values[0]); err != nil {
				return form{}, err
			}
		}
	}
	return f, nil
}

// checkReturn returns the URL that a form returns to. It must have the origin of the form,
// which is allowed for the site: the service is not an open redirect.
// A path is a page of the service. Errors: bad_body.
func (a *API) checkReturn(q *call, back string) (string, error) {
	bad := tally.Errorf(tally.CodeBadBody, "return must be a page of the origin that the form comes from")
	if len(back) > maxReturn || strings.ContainsAny(back, "\\") || strings.IndexFunc(back, isSpaceOrControl) >= 0 {
		return "", bad
	}
	u, err := url.Parse(back)
	if err != nil || u.User != nil || u.Opaque != "" {
		return "", bad
	}
	if u.Scheme == "" && u.Host == "" {
		// A path of the service; "//host" has a host.
		if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || q.origin.text != "" && !q.origin.isOwn {
			return "", bad
		}
		return u.String(), nil
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", bad
	}
	target := u.Scheme + "://" + strings.ToLower(u.Host)
	if q.origin.text != "" && !q.origin.isOwn {
		if withoutDefaultPort(target) != q.origin.text {
			return "", bad
		}
		return u.String(), nil
	}
	host, _ := requestHost(q.r, q.client.viaProxy)
	if !sameHost(target, host, false) && !sameHost(target, q.r.Host, false) {
		return "", bad
	}
	return u.String(), nil
}

// withoutDefaultPort leaves out the port that the scheme implies, as browsers do.
func withoutDefaultPort(target string) string {
	if strings.HasPrefix(target, "https:") {
		return strings.TrimSuffix(target, ":443")
	}
	return strings.TrimSuffix(target, ":80")
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// likeByForm is like for a form.
func (a *API) likeByForm(q *call, topic tally.Topic, body []byte) error {
	f, err := a.parseForm(q, body)
	if err != nil {
		return err
	}
	if a.catalog.Rule(topic).Final() {
		return tally.Errorf(tally.CodeUnsupportedMediaType, "a form cannot count visitors or views; send JSON")
	}
	if _, err := q.assertBody(topic, f.assertionBody); err != nil {
		return err
	}
	h := q.w.Header()
	h["Cache-Control"] = noStore
	h.Set("Location", f.returnURL)
	q.w.WriteHeader(http.StatusSeeOther)
	return nil
}
