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

// callsBelow is where the calls are; what else stands below /admin are pages.
const callsBelow = "/admin/v1/"

// methods are the handlers of one address, by method.
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
		"export":       {"GET": (*request).exportNumbers},
		"import":       {"POST": (*request).importNumbers},
		"overview":     {"GET": (*request).overview},
		"audit":        {"GET": (*request).listAudit},
		"{nothing...}": {},
	} {
		mux.Handle(callsBelow+path, handlers.handler(s, path == "session"))
	}
	return mux
}

// topicPath is the address of one topic; its key may have slashes.
const topicPath = "topics/{site}/{metric}/{key...}"

// handler answers what the methods say. With signsIn a POST needs no authority: it is
// what asks for it.
func (m methods) handler(s *Server, signsIn bool) http.Handler {
	allow := slices.Sorted(maps.Keys(m))
	if m["GET"] != nil {
		allow = append(allow, "HEAD")
		slices.Sort(allow)
	}
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q, ok := r.Context().Value(requestKey{}).(*request)
		if !ok {
			panic("admin: a call that did not come through ServeAdmin")
		}
		q.r = r
		defer q.recover()
		if err := m.call(s, q, signsIn, allow); err != nil {
			q.refuse(err)
		}
	})
}

func (m methods) call(s *Server, q *request, signsIn bool, allow []string) error {
	method := q.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // the server leaves the body out
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
		return tally.Errorf(tally.CodeMethodNotAllowed, "%.40q is not understood here; Allow names what is", q.r.Method)
	}
	if q.r.Body == http.NoBody {
		q.unhurried()
	}
	return f(q)
}

// recover makes a panic a refusal.
func (q *request) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	q.refuse(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
}
