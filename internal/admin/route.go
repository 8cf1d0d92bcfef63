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

// answer carries out a call. It returns the content of the response, which is empty for nil.
type answer func(*request) (any, error)

// responded is the result of an answer that sent the response itself.
type responded struct{}

// withBody returns the answer of a call whose body is the JSON object of a B.
func withBody[B any](run func(*request, B) (any, error)) answer { return withBodyUpTo(maxBody, run) }

// withBodyUpTo is withBody for a body of at most limit bytes.
func withBodyUpTo[B any](limit int64, run func(*request, B) (any, error)) answer {
	return func(q *request) (any, error) {
		var body B
		if err := q.decode(&body, limit); err != nil {
			return nil, err
		}
		return run(q, body)
	}
}

// methods are the answers of one path, by method.
type methods map[string]answer

// newCalls returns the router of the calls.
func (s *Server) newCalls() *http.ServeMux {
	mux := http.NewServeMux()
	for path, handlers := range map[string]methods{
		"session":      {"GET": (*request).showSession, "POST": withBodyUpTo(maxSignIn, (*request).signIn), "DELETE": (*request).signOut},
		"topics":       {"GET": (*request).listTopics},
		topicPath:      {"GET": (*request).showTopic, "PATCH": withBody((*request).changeTopic), "DELETE": (*request).deleteTopic},
		"reset":        {"POST": withBody((*request).reset)},
		"rename":       {"POST": withBody((*request).rename)},
		"merge":        {"POST": withBody((*request).merge)},
		"forget":       {"POST": withBody((*request).forget)},
		"blocks":       {"GET": (*request).listBlocks, "POST": withBody((*request).block), "DELETE": withBody((*request).unblock)},
		"spikes":       {"GET": (*request).listSpikes},
		"undo":         {"POST": withBody((*request).undo)},
		"reverts":      {"GET": (*request).listReverts},
		"prune":        {"POST": withBody((*request).prune)},
		"seeds":        {"POST": withBody((*request).seed)},
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
		q := r.Context().Value(requestKey{}).(*request)
		q.r = r // with the route
		result, err := m.call(s, q, signsIn, allow)
		if err != nil {
			q.respondError(err)
		} else if result != (responded{}) {
			q.respond(result)
		}
	})
}

func (m methods) call(s *Server, q *request, signsIn bool, allow []string) (any, error) {
	method := q.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http omits the body
	}
	if !signsIn || method != http.MethodPost {
		if err := s.authorize(q); err != nil {
			return nil, err
		}
		if s.storeName != "" {
			q.w.Header().Set(StoreHeader, s.storeName)
		}
	}
	f := m[method]
	switch {
	case len(m) == 0:
		return nil, errNotFound
	case f == nil:
		q.w.Header().Set("Allow", strings.Join(allow, ", "))
		return nil, tally.Errorf(tally.CodeMethodNotAllowed, "the method %.40q is not allowed here; the header Allow lists the allowed ones", q.r.Method)
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
