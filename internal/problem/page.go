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

// pagePolicy allows the page nothing but its own style.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// pageTitles are the titles of error pages by status.
var pageTitles = map[int]string{
	http.StatusForbidden:           "This page may not do that",
	http.StatusNotFound:            "There is nothing here",
	http.StatusTooManyRequests:     "That was too fast",
	http.StatusServiceUnavailable:  "Please try again in a moment",
	http.StatusInternalServerError: "Something went wrong",
}

// page returns e as a small page, with a link to returnURL unless that is empty.
func page(e *tally.Error, status int, returnURL string) []byte {
	title, ok := pageTitles[status]
	if !ok {
		title = "That did not work"
	}
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` +
		title + `</title><style>` + pageStyle + `</style><h1>` + title + `</h1><p>` +
		html.EscapeString(strings.ToValidUTF8(e.Message, "\uFFFD")) + `</p>`)
	if returnURL != "" {
		b.WriteString(`<p><a href="` + html.EscapeString(returnURL) + `">Back to the page</a></p>`)
	}
	b.WriteString(`<p><small>` + html.EscapeString(string(e.Code)) + `</small></p></html>`)
	return []byte(b.String())
}
