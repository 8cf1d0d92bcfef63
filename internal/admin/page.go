package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// pagePolicy lets the dashboard load what stands beside it, ask and hear this service,
// and nothing else; no page may frame it. Scripts and styles stand in files.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// firstPage is the file at /admin/.
const firstPage = "index.html"

// pageTypes are the types of the files that a dashboard is made of: the system's own
// tables differ.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml; charset=utf-8",
	".json": "application/json",
}

// servePage answers with a file of the dashboard. They are no secret: what they show
// they ask for.
func (s *Server) servePage(q *request) error {
	if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		q.w.Header().Set("Allow", "GET, HEAD")
		return tally.Errorf(tally.CodeMethodNotAllowed, "this can be read only")
	}
	if s.pages == nil {
		return errNotFound
	}
	if q.r.URL.Path == "/admin" {
		q.w.Header().Set("Location", s.basePath+"/admin/")
		q.w.WriteHeader(http.StatusPermanentRedirect)
		return nil
	}
	name := strings.TrimPrefix(q.r.URL.Path, "/admin/")
	if name == "" {
		name = firstPage
	}
	content, err := readPage(s.pages, name)
	if err != nil {
		return err
	}
	kind, ok := pageTypes[path.Ext(name)]
	if !ok {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	h := q.w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", kind)
	_, _ = bytes.NewReader(content).WriteTo(q.w) // the client may be gone
	return nil
}

// readPage returns what a file holds. Errors: not_found, also of a folder.
func readPage(pages fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(pages, name) // refuses names that lead elsewhere
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || err == nil && info.IsDir() {
		return nil, errNotFound
	}
	if err == nil {
		var content []byte
		if content, err = fs.ReadFile(pages, name); err == nil {
			return content, nil
		}
	}
	return nil, fmt.Errorf("read the page %s: %w", name, err)
}
