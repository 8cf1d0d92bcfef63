package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// callsPath is the prefix of the calls. Other paths below /admin are pages.
const callsPath = "/admin/v1/"

// answer carries out a call. It returns the content of the response; nil for none.
type answer func(*request) (any, error)

// responded is the result of an answer that has sent the response itself.
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

// route is one call: the least role that it needs, and its answer. The functions below make
// routes, so that a call without a role does not compile.
type route struct {
	role   owner.Role
	isOpen bool // needs no authorization: the call signs in
	answer answer
}

// Calls see only the sites of their caller, see [owner.Service.Within]. Calls of view change nothing
// and show no addresses of clients. Calls of edit may do both. Calls of administer concern all
// sites, or tokens. Calls of open need no authorization.
func view(a answer) route       { return route{role: owner.Viewer, answer: a} }
func edit(a answer) route       { return route{role: owner.Editor, answer: a} }
func administer(a answer) route { return route{role: owner.Admin, answer: a} }
func open(a answer) route       { return route{isOpen: true, answer: a} }

// methods are the calls of one path, by method.
type methods map[string]route

// topicPath is the path of one topic. The key may contain slashes.
const topicPath = "topics/{site}/{metric}/{key...}"

// routes returns the calls by their path below callsPath.
func (s *Server) routes() map[string]methods {
	return map[string]methods{
		"session":       {"GET": view((*request).showSession), "POST": open(withBodyUpTo(maxSignIn, s.signIn)), "DELETE": view((*request).signOut)},
		"topics":        {"GET": view((*request).listTopics), "PATCH": edit(withBody((*request).changeTopics))},
		topicPath:       {"GET": view((*request).showTopic), "PATCH": edit(withBody((*request).changeTopic)), "DELETE": edit((*request).deleteTopic)},
		"reset":         {"POST": edit(withBody((*request).reset))},
		"rename":        {"POST": edit(withBody((*request).rename))},
		"merge":         {"POST": edit(withBody((*request).merge))},
		"forget":        {"POST": edit(withBody((*request).forget))},
		"blocks":        {"GET": edit((*request).listBlocks), "POST": edit(withBody((*request).block)), "DELETE": edit(withBody((*request).unblock))},
		"spikes":        {"GET": view((*request).listSpikes)},
		"undo":          {"POST": edit(withBody((*request).undo))},
		"reverts":       {"GET": view((*request).listReverts)},
		"prune":         {"POST": edit(withBody((*request).prune))},
		"seeds":         {"POST": edit(withBody((*request).seed))},
		"export":        {"GET": edit((*request).exportData)},
		"import":        {"POST": edit((*request).importData)},
		"overview":      {"GET": view((*request).overview)},
		"audit":         {"GET": view((*request).listAudit)},
		"tokens":        {"GET": administer((*request).listTokens), "POST": administer(withBody((*request).createToken))},
		"tokens/{name}": {"DELETE": administer((*request).revokeToken)},
		"{nothing...}":  {},
	}
}

// newRouter returns the router of the calls. It panics if a call has no role and is not open.
func (s *Server) newRouter(routes map[string]methods) *http.ServeMux {
	mux := http.NewServeMux()
	for path, calls := range routes {
		for method, call := range calls {
			if call.answer == nil || (call.role == 0) != call.isOpen {
				panic("admin: " + method + " " + path + " declares no role")
			}
		}
		mux.Handle(callsPath+path, calls.handler(s))
	}
	return mux
}

// handler returns a handler of the methods.
func (m methods) handler(s *Server) http.Handler {
	allow := slices.Sorted(maps.Keys(m))
	if m["GET"].answer != nil {
		allow = append(allow, "HEAD")
		slices.Sort(allow)
	}
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q := r.Context().Value(requestKey{}).(*request)
		q.r = r // with the route
		result, err := m.call(s, q, allow)
		if err != nil {
			q.respondError(err)
		} else if result != (responded{}) {
			q.respond(result)
		}
	})
}

func (m methods) call(s *Server, q *request, allow []string) (any, error) {
	method := q.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http omits the body
	}
	call := m[method]
	if !call.isOpen {
		if err := s.authorize(q); err != nil {
			return nil, err
		}
		if s.storeName != "" && q.access.Role == owner.Admin {
			q.w.Header().Set(StoreHeader, s.storeName)
		}
	}
	switch {
	case len(m) == 0:
		return nil, errNotFound
	case call.answer == nil:
		q.w.Header().Set("Allow", strings.Join(allow, ", "))
		return nil, tally.Errorf(tally.CodeMethodNotAllowed, "the method %.40q is not allowed here; the header Allow lists the allowed ones", q.r.Method)
	case !call.isOpen && !q.access.Role.May(call.role):
		return nil, tally.Errorf(tally.CodeRoleNotAllowed, "this token is of the role %s; this call needs the role %s", q.access.Role, call.role)
	}
	if q.r.Body == http.NoBody {
		q.clearDeadlines()
	}
	if q.access.Revoked == nil {
		return call.answer(q)
	}
	return q.untilRevoked(call.answer)
}

// untilRevoked carries out a call of a caller with a token. Its reads end when the token is revoked.
func (q *request) untilRevoked(answer answer) (any, error) {
	ctx, cancel := context.WithCancel(q.r.Context())
	defer cancel()
	defer context.AfterFunc(q.access.Revoked, cancel)()
	q.r = q.r.WithContext(ctx)
	result, err := answer(q)
	if err != nil && q.access.Revoked.Err() != nil {
		err = unauthorized("the token was revoked during the call")
	}
	return result, err
}
