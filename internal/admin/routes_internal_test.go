package admin

import "testing"

// Calls returns every call, such as "GET topics", and the name of the role that it needs;
// empty for one that needs no authorization.
func (s *Server) Calls() map[string]string {
	calls := map[string]string{}
	for path, methods := range s.routes() {
		for method, call := range methods {
			calls[method+" "+path] = call.role.String()
		}
	}
	return calls
}

// A call without a role ends the construction.
func TestRoute_WithoutRole(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a call without a role is accepted")
		}
	}()
	(&Server{}).newRouter(map[string]methods{"new": {"GET": {answer: (*request).overview}}})
}
