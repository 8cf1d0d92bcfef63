package push

import (
	"bufio"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// WebSocket upgrades a request (RFC 6455). An error is returned before anything
// was written: [tally.CodeTooManyTopics], and [tally.CodeBadBody] for what is no
// handshake. A client that finds no place is upgraded and closed with 1013, since
// browsers do not tell pages the status of a handshake that failed; while draining
// nobody is answered, see hangUp. The origin is the edge's to check.
func (s *Server) WebSocket(w http.ResponseWriter, r *http.Request, session Session) error {
	if !isHandshake(r) {
		return tally.Errorf(tally.CodeBadBody, "this call is a WebSocket handshake: GET with Upgrade: websocket, Sec-WebSocket-Version: 13 and a key")
	}
	if err := s.checkCount(session); err != nil {
		return err
	}
	client, full := s.reserve(session.Client)
	if full == errDraining {
		return hangUp(w)
	}
	if full != nil {
		client = s.squeeze(session.Client)
	}
	c := &socketConn{conn: s.newConn(client), admit: session.Admit}
	s.hub.Adopt(&c.Viewer, c, webSocket)
	library, err := websocket.Accept(takeover{w, &c.conn}, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		if c.net != nil {
			_ = c.net.Close()
		}
		s.cancel(client)
		return nil // the library answered, or the connection is lost
	}
	_ = library.CloseNow() // takes its finalizer off, without which nothing of it would ever be freed
	if full != nil {
		c.deaf = true
		s.join(&c.conn, webSocket, nil)
		s.hub.Finish(&c.Viewer, appendClose(nil, closeTryLater, tally.AsError(full).Message), hub.ReasonOverload)
		s.readiness.watchSocket(c)
		return nil
	}
	c.begin(session)
	return nil
}

// isHandshake tells whether the library will accept the request.
func isHandshake(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 &&
		headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket") &&
		r.Header.Get("Sec-WebSocket-Version") == "13" && hasKey(r.Header)
}

// hasKey tells whether the header holds one key, which is 16 bytes in base64
// (RFC 6455, section 4.1).
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

// takeover is a ResponseWriter through which the library makes the handshake and
// gets nothing but that: the connection is ours. What the library makes of it is
// thrown away.
type takeover struct {
	http.ResponseWriter
	conn *conn
}

// WriteHeaderNow has the response sent by writers that put it off, as Gin's does.
func (t takeover) WriteHeaderNow() {
	if w, ok := t.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}

// Hijack implements [http.Hijacker].
func (t takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := t.conn.take(t.ResponseWriter); err != nil {
		return nil, nil, err
	}
	unused := unusedConn{t.conn.net}
	return unused, bufio.NewReadWriter(bufio.NewReaderSize(unused, 16), bufio.NewWriterSize(unused, 16)), nil
}

// unusedConn is what the library holds and closes, to no effect.
type unusedConn struct{ net.Conn }

func (unusedConn) Close() error { return nil }

const (
	// A client may send messageRate messages and pings a second, messageBurst at
	// once; a page sends a handful in its life. Who sends more is closed. A message
	// weighs one more for each topicWeight topics that it names.
	messageRate  = 20
	messageBurst = 100
	topicWeight  = 50
	// maxMistakes is how many messages a client may send that cannot be read.
	maxMistakes = 8
)

// messageLimit bounds the messages and pings of one connection.
var messageLimit = ratelimit.NewRate(ratelimit.Limit{Count: messageRate, Per: time.Second}, messageBurst/messageRate)

// allow takes weight messages from what the client may send.
func (c *socketConn) allow(weight int) bool {
	return messageLimit.Take(&c.budget, c.server.now(), weight) == 0
}

// begin serves the client. One that came with topics is owed a live event for
// them; a bare one is not, until it subscribes.
func (c *socketConn) begin(session Session) {
	s := c.server
	watch := s.resolve(session.Topics, c.admit)
	for _, refused := range session.Refused {
		watch.refuse(refused.Name, refused.Err)
	}
	c.sayAll(watch.refusals)
	c.sayAll(s.enter(&c.conn, session.Present, c.admit))
	if len(session.Topics)+len(session.Refused) > 0 {
		c.subscribe(watch.topics)
	}
	early := c.early
	c.early = nil
	c.receive(early)
	s.join(&c.conn, webSocket, nil)
	s.readiness.watchSocket(c)
}

// receive takes what the client sent. Its reader calls it, and nobody else.
func (c *socketConn) receive(data []byte) {
	if c.deaf || len(data) == 0 {
		return
	}
	if wrong := c.inbound.feed(data, c); wrong != nil {
		c.expel(wrong)
	}
}

// expel closes the connection of a client that does what it may not.
func (c *socketConn) expel(why *violation) {
	c.deaf = true
	c.server.hub.Finish(&c.Viewer, appendClose(nil, why.code, why.reason), hub.ReasonPolicy)
}

// close implements receiver: the client wants to end, and gets its code back.
func (c *socketConn) close(payload []byte) {
	c.deaf = true
	answer := append([]byte{finalClose, byte(len(payload))}, payload...)
	c.server.hub.Finish(&c.Viewer, answer, hub.ReasonGone)
}

// ping implements receiver.
func (c *socketConn) ping(payload []byte) *violation {
	if !c.allow(1) {
		return &violation{closePolicy, "too many pings"}
	}
	c.server.hub.Send(&c.Viewer, append([]byte{finalPong, byte(len(payload))}, payload...))
	return nil
}

// pong implements receiver: nobody asked, which is allowed.
func (c *socketConn) pong() *violation {
	if !c.allow(1) {
		return &violation{closePolicy, "too many pongs"}
	}
	return nil
}

// text implements receiver.
func (c *socketConn) text(data []byte) *violation {
	m, err := parseMessage(data)
	if !c.allow(1 + len(m.topics)/topicWeight) {
		return &violation{closePolicy, "too many messages"}
	}
	if err != nil {
		if c.mistakes++; c.mistakes > maxMistakes {
			return &violation{closePolicy, "too many messages that cannot be read"}
		}
		c.say(hub.AppendRefusal(nil, "", err))
		return nil
	}
	c.obey(m)
	return nil
}

// obey carries out a client's message.
func (c *socketConn) obey(m message) {
	s := c.server
	if len(m.topics) > s.options.MaxTopics {
		c.say(hub.AppendRefusal(nil, "", tally.Errorf(tally.CodeTooManyTopics, "a message names at most %d topics", s.options.MaxTopics)))
		return
	}
	switch m.verb {
	case verbSubscribe:
		watch := s.resolve(m.topics, c.admit)
		c.sayAll(watch.refusals)
		c.subscribe(watch.topics)
	case verbUnsubscribe:
		s.hub.Unsubscribe(&c.Viewer, s.resolve(m.topics, admitAll).topics)
	case verbPresent:
		c.sayAll(s.enter(&c.conn, m.topics, c.admit))
	case verbAbsent:
		s.exit(&c.conn, s.resolve(m.topics, admitAll).topics)
	}
}

// admitAll admits what a client wants to leave.
func admitAll(tally.Topic) error { return nil }

func (c *socketConn) subscribe(topics []tally.Topic) {
	c.sayAll(c.server.subscribe(&c.conn, topics))
}

// say sends the client a frame of its own.
func (c *socketConn) say(json []byte) {
	c.server.hub.Send(&c.Viewer, appendText(nil, json))
}

func (c *socketConn) sayAll(frames [][]byte) {
	for _, json := range frames {
		c.say(json)
	}
}
