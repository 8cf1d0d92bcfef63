package sitemap

import (
	"net/http"
	"net/url"
	"os"
	"strings"
)

// localOrigin stands for the host of a built site that is read from a folder.
const localOrigin = "http://site.invalid"

// newLocalReach returns a reach that reads every file from a folder.
func newLocalReach(dir string) *reach {
	client := newClient(nil)
	client.Transport = localFiles{http.NewFileTransport(http.Dir(dir)), http.Dir(dir)}
	return &reach{everywhere: true, open: client, guarded: client}
}

// localFiles answers requests to all hosts with files of a built site. The site may be
// served below a path that its folder does not have.
type localFiles struct {
	http.RoundTripper
	dir http.Dir
}

func (l localFiles) RoundTrip(request *http.Request) (*http.Response, error) {
	for path := request.URL.Path; path != ""; {
		if file, err := l.dir.Open(path); err == nil {
			_ = file.Close() // nothing was read
			request = request.Clone(request.Context())
			request.URL = &url.URL{Scheme: "http", Host: request.URL.Host, Path: path}
			break
		} else if !os.IsNotExist(err) {
			break
		}
		_, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if !ok {
			break
		}
		path = "/" + rest
	}
	return l.RoundTripper.RoundTrip(request)
}
