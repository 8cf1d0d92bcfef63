package problem

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

const pageStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto 0;padding:0 1.5rem}` +
	`h1{font-size:1.5rem}small{opacity:.7}:root{color-scheme:light dark}`

// pagePolicy lets the page do nothing but use its own style.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// pageTitles say for people what went wrong, by status.
var pageTitles = map[int]string{
	http.StatusForbidden:           "This page may not do that",
	http.StatusNotFound:            "There is nothing here",
	http.StatusTooManyRequests:     "That was too fast",
	http.StatusServiceUnavailable:  "Please try again in a moment",
	http.StatusInternalServerError: "Something went wrong",
}

// WantsPage reports whether a browser would show the answer to r to a person.
func WantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// SetPageHeader sets what goes with a refusal that is a page, beside [SetHeader].
func SetPageHeader(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Add("Vary", "Accept")
}

// AppendPage appends e as a small page. back is an address to which it links, and which
// the caller has checked; empty for none.
func AppendPage(dst []byte, e *tally.Error, status int, back string) []byte {
	title, ok := pageTitles[status]
	if !ok {
		title = "That did not work"
	}
	dst = append(dst, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>`...)
	dst = append(dst, title...)
	dst = append(dst, `</title><style>`+pageStyle+`</style><h1>`...)
	dst = append(dst, title...)
	dst = append(dst, `</h1><p>`...)
	dst = append(dst, html.EscapeString(strings.ToValidUTF8(e.Message, "\uFFFD"))...)
	dst = append(dst, `</p>`...)
	if back != "" {
		dst = append(dst, `<p><a href="`...)
		dst = append(dst, html.EscapeString(back)...)
		dst = append(dst, `">Back to the page</a></p>`...)
	}
	dst = append(dst, `<p><small>`...)
	dst = append(dst, html.EscapeString(string(e.Code))...)
	return append(dst, `</small></p></html>`...)
}
