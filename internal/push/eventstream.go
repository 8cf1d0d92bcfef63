package push

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
)

// EventStream answers a request with Server-Sent Events. The status line and the
// headers of w are sent with the first frames. An error is returned before
// anything was written: [tally.CodeTooManyTopics], [tally.CodeTooManyViewers]. A
// browser's EventSource that finds no place is answered here, since it gives up for
// good on any status but 200. While draining nobody is answered: see hangUp.
func (s *Server) EventStream(w http.ResponseWriter, r *http.Request, session Session) error {
	if err := s.checkCount(session); err != nil {
		return err
	}
	w.Header().Set("Connection", "close") // the stream ends with the connection
	client, err := s.reserve(session.Client)
	if err != nil {
		if err == errDraining {
			return hangUp(w)
		}
		// Whoever finds no place does not keep one of the process's open files either.
		if isFull(err) && isEventSource(r) {
			return s.sendFull(w)
		}
		return err
	}
	head := appendStreamHead(nil, w.Header())
	head = appendRetry(head, between(time.Second, 5*time.Second))

	c := &streamConn{s.newConn(client)}
	s.hub.Adopt(&c.Viewer, c, eventStream)
	if err := c.take(w); err != nil {
		s.cancel(client)
		return err
	}
	c.early = nil // nothing that a client sends on a stream is read
	watch := s.resolve(session.Topics, session.Admit)
	for _, refused := range session.Refused {
		watch.refuse(refused.Name, refused.Err)
	}
	refusals := slices.Concat(watch.refusals, s.subscribe(&c.conn, watch.topics), s.enter(&c.conn, session.Present, session.Admit))
	for _, refusal := range refusals {
		head = appendEvent(head, refusal)
	}
	s.readiness.watchStream(c)
	s.join(&c.conn, eventStream, head)
	s.work.Done()
	return nil
}

// isEventSource tells whether a browser's EventSource makes the request.
func isEventSource(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// sendFull answers an EventSource that finds no place: it may come back later.
func (s *Server) sendFull(w http.ResponseWriter) error {
	setStreamHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	body := appendRetry(nil, between(fullRetry, 2*fullRetry))
	_, _ = w.Write(appendEvent(body, []byte(hub.FrameFull))) // a client that is gone needs no answer
	return nil
}

// setStreamHeader sets what makes an answer an event stream that no proxy keeps
// or gathers.
func setStreamHeader(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
}

// appendStreamHead appends the status line and the header of an event stream.
func appendStreamHead(dst []byte, header http.Header) []byte {
	setStreamHeader(header)
	var text strings.Builder
	text.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&text) // a strings.Builder takes everything
	text.WriteString("\r\n")
	return append(dst, text.String()...)
}
