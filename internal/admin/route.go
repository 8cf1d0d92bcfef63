package admin

import (
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// callsPath is the prefix of the calls. Other paths below /admin are pages.
const callsPath = "/admin/v1/"

// methods are the handlers of one path, by method.
type methods map[string]func(*request) error

// newCalls returns the router of the calls.
func (s *Server) newCalls() *http.ServeMux {
	mux := http.NewServeMux()
	for path, handlers := range map[string]methods{
		"session":      {"GET": (*request).showSession, "POST": (*request).signIn, "DELETE": (*request).signOut},
		"topics":       {"GET": (*request).listTopics},
		topicPath:      {"GET": (*request).showTopic, "PATCH": (*request).changeTopic, "DELETE": (*request).deleteTopic},
		"reset":        {"POST": (*request).reset},
		"rename":       {"POST": (*request).rename},
		"merge":        {"POST": (*request).merge},
		"forget":       {"POST": (*request).forget},
		"blocks":       {"GET": (*request).listBlocks, "POST": (*request).block, "DELETE": (*request).unblock},
		"spikes":       {"GET": (*request).listSpikes},
		"undo":         {"POST": (*request).undo},
		"prune":        {"POST": (*request).prune},
		"seeds":        {"POST": (*request).seed},
		"export":       {"GET": (*request).exportData},
		"import":       {"POST": (*request).importData},
		"overview":     {"GET": (*request).overview},
		"audit":        {"GET": (*request).listAudit},
		"{nothing...}": {},
	} {
		mux.Handle(callsPath+path, handlers.handler(s, path == "session"))
	}
	return mux
}

// topicPath is the path of one topic. The key may contain slashes.
const topicPath = "topics/{site}/{metric}/{key...}"

// handler returns a handler of the methods. With signsIn, POST needs no authorization,
// since it requests it.
func (m methods) handler(s *Server, signsIn bool) http.Handler {
	allow := slices.Sorted(maps.Keys(m))
	if m["GET"] != nil {
		allow = append(allow, "HEAD")
		slices.Sort(allow)
	}
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q, ok := r.Context().Value(requestKey{}).(*request)
		if !ok {
			panic("admin: the request did not come through ServeAdmin")
		}
		q.r = r
		defer q.recover()
		if err := m.call(s, q, signsIn, allow); err != nil {
			q.respondError(err)
		}
	})
}

func (m methods) call(s *Server, q *request, signsIn bool, allow []string) error {
	method := q.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http omits the body
	}
	if !signsIn || method != http.MethodPost {
		if err := s.authorize(q); err != nil {
			return err
		}
		if s.storeName != "" {
			q.w.Header().Set(StoreHeader, s.storeName)
		}
	}
	f := m[method]
	switch {
	case len(m) == 0:
		return errNotFound
	case f == nil:
		q.w.Header().Set("Allow", strings.Join(allow, ", "))
		return tally.Errorf(tally.CodeMethodNotAllowed, "the method %.40q is not allowed here; the header Allow lists the allowed ones", q.r.Method)
	}
	if q.r.Body == http.NoBody {
		q.clearDeadlines()
	}
	return f(q)
}

// recover responds to a panic with an internal error.
func (q *request) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	q.respondError(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
}
