package push

import (
	"crypto/sha1" // of the protocol, not for security
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// closeTimeout is how long a client has to read the close frame and to close. An earlier
// close, with input unread, would reset the connection and lose the frame.
const closeTimeout = time.Second

// socketConn is the connection of a WebSocket. The shard, which writes, and the reader
// use its descriptor independently. The last one to end closes the descriptor: otherwise
// the other one could use it after another connection got the same number.
type socketConn struct {
	conn
	isReleased atomic.Bool // the shard or the reader has ended
	isRetired  atomic.Bool // the shard has ended
	hasReader  bool        // guarded by the mutex of its loop

	// Owned by the reader.

	badMessages    uint8
	ignoresInput   bool
	readerHasEnded bool
	rights         Rights
	incomplete     *inbound      // nil while no message is incomplete
	budget         time.Duration // when messageLimit's bucket is full again
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
	early, err := c.hijack(w)
	if err != nil {
		s.cancel(client)
		return err
	}
	head := appendHandshake(nil, w.Header(), r.Header.Get(keyHeader))
	if full != nil {
		c.ignoresInput = true
		s.join(&c.conn, webSocket, head)
		s.hub.Finish(&c.Viewer, appendClose(nil, closeTryLater, tally.AsError(full).Message), hub.ReasonOverload)
		s.readiness.watchSocket(c)
		return nil
	}
	c.begin(session, head, early)
	return nil
}

// begin serves the client. A session with topics gets the event live after their snapshot; a
// session without gets it after the first subscription. One write holds head and the first
// frames. early is the input that came with the handshake.
func (c *socketConn) begin(session Session, head, early []byte) {
	s := c.server
	refused := refusals{encode: appendText}
	if len(session.Topics)+len(session.Refused) > 0 {
		s.watchSession(&c.conn, session, &refused)
	} else {
		s.enter(&c.conn, session.Present, c.rights, &refused)
	}
	c.sendRefusals(&refused)
	c.receive(early)
	s.join(&c.conn, webSocket, head)
	s.readiness.watchSocket(c)
}

const keyHeader = "Sec-WebSocket-Key"

// isHandshake reports whether r is a handshake (RFC 6455, section 4.2.1), with one key of
// 16 bytes in base64.
func isHandshake(r *http.Request) bool {
	keys := r.Header.Values(keyHeader)
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16 && r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 &&
		headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket") &&
		r.Header.Get("Sec-WebSocket-Version") == "13"
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

// handshakeID is the constant of the handshake (RFC 6455, section 1.3).
const handshakeID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendHandshake appends the answer to the handshake with that key, with header. It
// negotiates neither subprotocols nor extensions.
func appendHandshake(dst []byte, header http.Header, key string) []byte {
	sum := sha1.Sum([]byte(strings.TrimSpace(key) + handshakeID))
	header.Set("Upgrade", "websocket")
	header.Set("Connection", "Upgrade")
	header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	return appendHead(dst, http.StatusSwitchingProtocols, header)
}

// Close implements [hub.Conn]: the shard writes no more.
func (c *socketConn) Close(hub.Reason) {
	c.server.forget(&c.conn)
	c.closeWrite()
	c.isRetired.Store(true)
	c.server.readiness.retire(c)
	c.release()
}

// endReader ends the reader. err is nil if the client closed the connection or a time limit is
// over.
func (c *socketConn) endReader(err error) {
	if c.readerHasEnded {
		return
	}
	c.readerHasEnded = true
	c.server.hub.Leave(&c.Viewer, hub.ReasonOf(err))
	c.server.leaveAll(&c.conn)
	c.release()
}

// release closes the descriptor when the shard and the reader have both called it.
func (c *socketConn) release() {
	if c.isReleased.Swap(true) {
		c.closeSocket()
		c.server.work.Done()
	}
}

// send sends a frame to this client alone.
func (c *socketConn) send(json []byte) {
	c.server.hub.Send(&c.Viewer, appendText(make([]byte, 0, len(json)+4), json))
}

// sendRefusals sends the refusals, and clears them.
func (c *socketConn) sendRefusals(r *refusals) {
	if len(r.frames) > 0 {
		c.server.hub.Send(&c.Viewer, r.frames)
		r.frames = nil
	}
}
