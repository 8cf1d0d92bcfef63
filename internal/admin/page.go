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

// pagePolicy lets the dashboard load its own files and connect to this service, and nothing
// else. No page may embed it. It has no inline scripts or styles.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// indexPage is the file at /admin/.
const indexPage = "index.html"

// pageTypes are the media types of the dashboard's files. Those of the system differ
// between machines.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml; charset=utf-8",
	".json": "application/json",
}

// servePage responds with a file of the dashboard. The files are public: they contain no
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
	name := strings.TrimPrefix(q.r.URL.Path, "/admin/")
	if name == "" {
		name = indexPage
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
	_, _ = bytes.NewReader(content).WriteTo(q.w) // the client may have disconnected
	return nil
}

// readPage returns the content of a file. Errors: not_found, also for a folder.
func readPage(pages fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(pages, name) // rejects names such as ../x
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || err == nil && info.IsDir() {
		return nil, errNotFound
	}
	if err == nil {
		var content []byte
		if content, err = fs.ReadFile(pages, name); err == nil {
			return content, nil
		}
	}
	return nil, fmt.Errorf("read page %s: %w", name, err)
}
