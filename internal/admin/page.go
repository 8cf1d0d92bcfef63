package admin

import (
	"cmp"
	"io/fs"
	"net/http"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/web"
)

// pagePolicy allows the dashboard to load its own files and to connect to this service, and nothing
// else. No page may embed it. It has no inline scripts or styles.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// indexPage is the file at /admin/.
const indexPage = "index.html"

// servePage responds with a file of the dashboard. The files are public, since they contain no
// data.
func (s *Server) servePage(q *request) error {
	if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		q.w.Header().Set("Allow", "GET, HEAD")
		return tally.Errorf(tally.CodeMethodNotAllowed, "only GET and HEAD are allowed here")
	}
	if s.pages == nil {
		return errNotFound
	}
	if q.r.URL.Path == "/admin" {
		q.w.Header().Set("Location", s.basePath+"/admin/")
		q.w.WriteHeader(http.StatusPermanentRedirect)
		return nil
	}
	name := cmp.Or(strings.TrimPrefix(q.r.URL.Path, "/admin/"), indexPage)
	content, err := fs.ReadFile(s.pages, name) // refuses folders, and names such as ../x
	if err != nil {
		return errNotFound
	}
	h := q.w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", web.ContentType(name))
	_, _ = q.w.Write(content) // the client may have disconnected
	return nil
}
