package push

import (
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
)

// EventStream answers a request with Server-Sent Events. The first write holds the
// status line, the headers of w and the first frames. Errors are returned before
// anything is written: [tally.CodeTooManyTopics], [tally.CodeTooManyViewers].
//
// On a full instance a browser's EventSource gets status 200 and the event full, since it
// never reconnects after another status. While draining the connection is closed, see abort.
func (s *Server) EventStream(w http.ResponseWriter, r *http.Request, session Session) error {
	if err := checkTopicCount(session); err != nil {
		return err
	}
	w.Header().Set("Connection", "close") // the stream ends with the connection
	client, err := s.reserve(session.Client)
	if client == nil {
		return abort(w)
	}
	if err != nil {
		s.cancel(client) // without hijacking, since a full instance saves open files
		if isEventSource(r) {
			return s.sendFull(w)
		}
		return err
	}
	setStreamHeader(w.Header())
	head := appendRetry(appendHead(nil, http.StatusOK, w.Header()), randomBetween(time.Second, 5*time.Second))

	c := &streamConn{s.newConn(client)}
	s.hub.Adopt(&c.Viewer, c, eventStream)
	if _, err := c.hijack(w); err != nil { // this package reads nothing from an event stream
		s.cancel(client)
		return err
	}
	refused := refusals{appendEvent, head}
	s.watchSession(&c.conn, session, &refused)
	s.readiness.watchStream(c)
	s.join(&c.conn, eventStream, refused.frames)
	s.work.Done()
	return nil
}

// isEventSource reports whether a browser's EventSource makes the request.
func isEventSource(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// sendFull sends the event full, after which an EventSource reconnects later.
func (s *Server) sendFull(w http.ResponseWriter) error {
	setStreamHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	body := appendRetry(nil, randomBetween(fullRetry, 2*fullRetry))
	_, _ = w.Write(appendEvent(body, []byte(hub.FrameFull))) // the client may be gone
	return nil
}

// setStreamHeader sets the headers of an event stream, so that no proxy stores or buffers it.
func setStreamHeader(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
}

// streamConn is the connection of an event stream.
type streamConn struct{ conn }

// Close implements [hub.Conn].
func (c *streamConn) Close(hub.Reason) {
	c.server.readiness.forget(c)
	c.server.forget(&c.conn)
	c.closeSocket()
	c.server.leaveAll(&c.conn)
}
