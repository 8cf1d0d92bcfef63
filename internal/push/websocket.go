package push

import (
	"bufio"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// closeTimeout is how long a client has to read the close frame and to close. An earlier
// close, with input unread, would reset the connection and lose the frame.
const closeTimeout = time.Second

// socketConn is the connection of a WebSocket. The shard, which writes, and the reader
// use its descriptor independently. The last one to end closes it, so that neither uses
// a descriptor that is another connection's by then.
type socketConn struct {
	conn
	hasEnded  atomic.Bool // the shard or the reader has
	isRetired atomic.Bool // the shard has ended
	hasReader bool        // guarded by the mutex of its loop

	// Owned by the reader.

	rights         Rights
	inbound        inbound
	budget         time.Duration // when messageLimit's bucket is full again
	badMessages    uint8
	ignoresInput   bool
	readerHasEnded bool
}

// WebSocket upgrades a request (RFC 6455). Errors are returned before anything is
// written: [tally.CodeTooManyTopics], and [tally.CodeBadBody] for a bad handshake. The
// caller checks the origin.
//
// On a full instance the client is upgraded and closed with 1013, since browsers hide
// the status of a failed handshake from pages. While draining the connection is closed,
// see abort.
func (s *Server) WebSocket(w http.ResponseWriter, r *http.Request, session Session) error {
	if !isHandshake(r) {
		return tally.Errorf(tally.CodeBadBody, "this call is a WebSocket handshake: GET with Upgrade: websocket, Sec-WebSocket-Version: 13 and a key")
	}
	if err := checkTopicCount(session); err != nil {
		return err
	}
	client, full := s.reserve(session.Client)
	if client == nil {
		return abort(w)
	}
	c := &socketConn{conn: s.newConn(client), rights: session.Rights}
	s.hub.Adopt(&c.Viewer, c, webSocket)
	library, err := websocket.Accept(hijackWriter{w, &c.conn}, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		if c.net != nil {
			_ = c.net.Close()
		}
		s.cancel(client)
		return nil // the library sent a response, or the connection is lost
	}
	_ = library.CloseNow() // removes its finalizer, which would keep its memory for ever
	if full != nil {
		c.ignoresInput = true
		s.join(&c.conn, webSocket, nil)
		s.hub.Finish(&c.Viewer, appendClose(nil, closeTryLater, tally.AsError(full).Message), hub.ReasonOverload)
		s.readiness.watchSocket(c)
		return nil
	}
	c.begin(session)
	return nil
}

// begin serves the client. A session with topics gets a live event for them; a session
// without gets the first one when it subscribes.
func (c *socketConn) begin(session Session) {
	s := c.server
	refused := refusals{encode: appendText}
	if len(session.Topics)+len(session.Refused) > 0 {
		s.watchSession(&c.conn, session, &refused)
	} else {
		s.enter(&c.conn, session.Present, c.rights, &refused)
	}
	c.sendRefusals(&refused)
	early := c.earlyInput
	c.earlyInput = nil
	c.receive(early)
	s.join(&c.conn, webSocket, nil)
	s.readiness.watchSocket(c)
}

// isHandshake reports whether the library will accept the request.
func isHandshake(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 &&
		headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket") &&
		r.Header.Get("Sec-WebSocket-Version") == "13" && hasKey(r.Header)
}

// hasKey reports whether the header has one key of 16 bytes in base64 (RFC 6455, section
// 4.1).
func hasKey(header http.Header) bool {
	keys := header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16
}

func headerHas(header http.Header, name, token string) bool {
	for _, value := range header.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// hijackWriter is the ResponseWriter that the library gets for the handshake. Its Hijack
// keeps the connection for conn and gives the library one that it may close.
type hijackWriter struct {
	http.ResponseWriter
	conn *conn
}

// WriteHeaderNow sends the header on writers that delay it, as Gin's does.
func (h hijackWriter) WriteHeaderNow() {
	if w, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}

// Hijack implements [http.Hijacker].
func (h hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := h.conn.hijack(h.ResponseWriter); err != nil {
		return nil, nil, err
	}
	unused := unusedConn{h.conn.net}
	return unused, bufio.NewReadWriter(bufio.NewReaderSize(unused, 16), bufio.NewWriterSize(unused, 16)), nil
}

// unusedConn is a connection whose Close does nothing.
type unusedConn struct{ net.Conn }

func (unusedConn) Close() error { return nil }

// Close implements [hub.Conn]: the shard writes no more.
func (c *socketConn) Close(hub.Reason) {
	c.server.forget(&c.conn)
	_ = c.net.CloseWrite()
	c.isRetired.Store(true)
	c.server.readiness.retire(c)
	c.release()
}

// endReader ends the reader: the client closed the connection, its time is over, or the
// connection ended with err.
func (c *socketConn) endReader(err error) {
	if c.readerHasEnded {
		return
	}
	c.readerHasEnded = true
	c.server.hub.Leave(&c.Viewer, reasonOf(err))
	c.server.leaveAll(&c.conn)
	c.release()
}

// release closes the descriptor when the shard and the reader have both called it.
func (c *socketConn) release() {
	if c.hasEnded.Swap(true) {
		_ = c.net.Close()
		c.server.work.Done()
	}
}

// send sends the client a frame of its own.
func (c *socketConn) send(json []byte) {
	c.server.hub.Send(&c.Viewer, appendText(nil, json))
}

// sendRefusals sends the refusals, and clears them.
func (c *socketConn) sendRefusals(r *refusals) {
	if len(r.frames) > 0 {
		c.server.hub.Send(&c.Viewer, r.frames)
		r.frames = nil
	}
}
