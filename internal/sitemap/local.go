package sitemap

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// localOrigin is the origin under which the files of a built site are requested.
const localOrigin = "http://site.invalid"

// newLocalPolicy returns a policy whose clients read all files from a folder.
func newLocalPolicy(dir string) *hostPolicy {
	client := newClient(nil)
	client.Transport = localFiles{http.NewFileTransport(http.Dir(dir)), http.Dir(dir)}
	return &hostPolicy{anyHost: true, direct: client, publicOnly: client}
}

// localFiles answers requests to all hosts with files of a built site. The folder may lack the
// base path of the site.
type localFiles struct {
	http.RoundTripper
	dir http.Dir
}

func (l localFiles) RoundTrip(request *http.Request) (*http.Response, error) {
	for path := request.URL.Path; path != ""; {
		file, err := l.dir.Open(path)
		switch {
		case err == nil:
			_ = file.Close() // nothing was read
			request = request.Clone(request.Context())
			request.URL = &url.URL{Scheme: "http", Host: request.URL.Host, Path: path}
			return l.RoundTripper.RoundTrip(request)
		case !os.IsNotExist(err):
			return nil, err
		}
		_, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if !ok {
			break
		}
		path = "/" + rest
	}
	return nil, errNoFile
}

var errNoFile = errors.New("the folder of the site has no such file")
