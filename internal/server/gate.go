package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

// gateTimeout is how long a request waits for the seeds before it is refused. A write may take 3 s,
// and needs the rest for the store.
const gateTimeout = 2 * time.Second

// gate returns a handler that passes requests to next after the seeds of the first scan are stored, so
// that no request reads or changes a count without its seed. Requests that need no seeds pass at once.
// base is the base path.
func (s *seeder) gate(base string, next http.Handler) http.Handler {
	if s == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.opened.Load() && needsSeeds(r.Method, strings.TrimPrefix(r.URL.Path, base)) && !s.await(r.Context()) {
			refuseWithoutSeeds(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// needsSeeds reports whether a request shows a count to readers, or changes one. The owner may read
// counts without their seeds.
func needsSeeds(method, path string) bool {
	switch {
	case strings.HasPrefix(path, "/v1/"), strings.HasPrefix(path, "/badge/"):
		return true // also for keys that end in .js or .css
	case path == "/healthz", path == "/readyz", path == "/openapi.yaml", strings.HasSuffix(path, ".js"), strings.HasSuffix(path, ".css"):
		return false
	case strings.HasPrefix(path, "/admin"):
		return strings.HasPrefix(path, "/admin/v1/") && path != "/admin/v1/session" && method != http.MethodGet && method != http.MethodHead
	}
	return true
}

// await waits until the seeds are stored, at most for [gateTimeout], and reports whether they are.
func (s *seeder) await(ctx context.Context) bool {
	timeout := time.NewTimer(gateTimeout)
	defer timeout.Stop()
	select {
	case <-s.stored:
		return true
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

// refuseWithoutSeeds answers as the API does while its store is unavailable. Every origin
// may read the answer, since it contains no data.
func refuseWithoutSeeds(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Retry-After, ETag")
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/v1/stream") {
		// An EventSource stops for good on any other status.
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "retry: 2000\n\ndata: {\"event\":\"stale\"}\n\n") // the client may have left
		return
	}
	problem.Respond(w, r, tally.Unavailable(errors.New("the seeds are not set yet")), problem.Details{})
}
