package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// An import sets many numbers with one call, or with a call for each topic if the service is of the release
// 0.2.0, which lacks the first call. A topic that the service refuses does not stop the others.
func TestImport_Calls(t *testing.T) {
	t.Parallel()
	const topics = 2500
	var rows strings.Builder
	for i := range topics {
		fmt.Fprintf(&rows, "blog/likes/%d,%d\n", i, i+1)
	}
	path := write(t, "x.csv", "topic,count\n"+rows.String()+"blog/nothing/x,1\n")
	r, _ := startOwned(t)
	at, err := url.Parse(r.public)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		as       string
		previous bool
		calls    int64 // for topics
	}{{"seed", false, 3}, {"base", false, 3}, {"adjustment", false, 3}, {"count", false, 3}, {"count", true, topics + 2}} {
		calls := atomic.Int64{}
		forward := httputil.NewSingleHostReverseProxy(at)
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			calls.Add(1)
			if test.previous && q.Method == http.MethodPatch && q.URL.Path == "/admin/v1/topics" {
				w.WriteHeader(http.StatusMethodNotAllowed)
				_, _ = fmt.Fprint(w, `{"code":"method_not_allowed","detail":"the method is not allowed here"}`)
				return
			}
			forward.ServeHTTP(w, q)
		}))
		code, out, errors := call(t, variables("TALLYCAST_AT="+proxy.URL, "TALLYCAST_ADMIN_TOKEN="+ownerToken), "import", "--as", test.as, path)
		proxy.Close()
		if code != exitFailure || !strings.Contains(out, "2501 topics in 2501 lines") || !strings.Contains(errors, "blog/nothing/x: ") || strings.Contains(errors, "blog/likes") {
			t.Errorf("%+v: exit %d: %s%s", test, code, out, errors)
		}
		if got := calls.Load(); got != test.calls {
			t.Errorf("%+v: %d calls", test, got)
		}
	}
	if a := send(t, "GET", r.public+"/v1/blog/likes/2499", ""); a.Count != topics {
		t.Errorf("%+v", a)
	}
}
