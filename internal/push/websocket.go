package push

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxMessage is the greatest size of a client's message, in bytes. The library
	// closes with 1009 beyond it.
	maxMessage = 64 << 10
	// messageTime is how long a message may take from its first frame to its end.
	messageTime = 10 * time.Second
	// A client may send messageRate messages and pings a second, messageBurst at
	// once; a page sends a handful in its life. Who sends more is closed.
	messageRate  = 20
	messageBurst = 100
	// maxMistakes is how many messages a client may send that cannot be read.
	maxMistakes = 8
)

// WebSocket upgrades a request (RFC 6455). An error is returned before anything
// was written: [tally.CodeTooManyTopics], and [tally.CodeBadBody] for what is no
// handshake. A client that finds no place is upgraded and closed with 1013, since
// browsers do not tell pages the status of a handshake that failed. The origin is
// the edge's to check.
func (s *Server) WebSocket(w http.ResponseWriter, r *http.Request, session Session) error {
	if !isHandshake(r) {
		return tally.Errorf(tally.CodeBadBody, "this call is a WebSocket handshake: GET with Upgrade: websocket, Sec-WebSocket-Version: 13 and a key")
	}
	if err := s.checkCount(session); err != nil {
		return err
	}
	if err := s.reserve(session.Client); err != nil {
		return refuse(w, r, err)
	}
	c := &socketConn{conn: conn{server: s, client: session.Client}}
	s.hub.Adopt(&c.Viewer, c, webSocket)
	reader := &reader{conn: c, session: session, budget: rate.NewLimiter(messageRate, messageBurst)}
	library, err := websocket.Accept(takeover{w, c}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the edge knows each site's origins
		OnPingReceived:     reader.ping,
	})
	if err != nil {
		if c.net != nil {
			_ = c.net.Close()
		}
		s.cancel(session.Client)
		return nil // the library answered, or the connection is lost
	}
	s.adopt(&c.conn, webSocket)
	library.SetReadLimit(maxMessage)
	reader.library = library
	reader.join()
	go reader.run() // ends when the connection does; Run waits for it
	return nil
}

// refuse upgrades a request only to say that there is no place.
func refuse(w http.ResponseWriter, r *http.Request, why error) error {
	library, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err == nil {
		// Waits some seconds at most for the client's answer.
		_ = library.Close(closeTryLater, tally.AsError(why).Message)
	}
	return nil // the library answered
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

// takeover is a ResponseWriter whose Hijack hands the library our connection.
type takeover struct {
	http.ResponseWriter
	conn *socketConn
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
	library := libraryConn{t.conn}
	return library, library.buffers(), nil
}

// reader reads what a client says on its WebSocket. Its goroutine owns it.
type reader struct {
	conn     *socketConn
	library  *websocket.Conn
	session  Session
	budget   *rate.Limiter
	mistakes int
}

// join begins to serve the client. One that came with topics is owed a live event
// for them; a bare one is not, until it subscribes.
func (r *reader) join() {
	s := r.conn.server
	watch := s.resolve(r.session.Topics, r.session.Admit)
	refusals := append(watch.refusals, s.enter(&r.conn.conn, r.session.Present, r.session.Admit)...)
	for _, refusal := range refusals {
		r.say(refusal)
	}
	if len(r.session.Topics) > 0 {
		r.subscribe(watch.topics)
	}
	r.session.Topics, r.session.Present = nil, nil
	s.hub.Join(&r.conn.Viewer, nil)
}

func (r *reader) subscribe(topics []tally.Topic) {
	for _, topic := range r.conn.server.hub.Subscribe(&r.conn.Viewer, topics) {
		r.say(hub.AppendRefusal(nil, topic.String(), errWatched))
	}
}

// say sends the client a frame of its own.
func (r *reader) say(json []byte) {
	r.conn.server.hub.Send(&r.conn.Viewer, appendText(nil, json))
}

// expel closes the connection of a hostile client.
func (r *reader) expel(reason string) {
	r.conn.server.hub.Finish(&r.conn.Viewer, appendClose(nil, closePolicy, reason), hub.ReasonPolicy)
}

// run reads until the connection is closed, by whomever.
func (r *reader) run() {
	for r.next() {
	}
	_ = r.library.CloseNow() // leaves the hub
	r.conn.server.leave(r.conn.present)
	r.conn.linger()
	r.conn.server.work.Done()
}

// ping is asked whether a ping is answered. Who floods is closed.
func (r *reader) ping(context.Context, []byte) bool {
	if r.budget.Allow() {
		return true
	}
	r.expel("too many pings")
	return false
}

// next reads and obeys one message; false when there will be no other.
func (r *reader) next() bool {
	kind, body, err := r.library.Reader(context.Background())
	if err != nil {
		return false
	}
	_ = r.conn.net.SetReadDeadline(time.Now().Add(messageTime))
	data, err := io.ReadAll(body)
	if err != nil {
		return false
	}
	_ = r.conn.net.SetReadDeadline(time.Time{})
	switch {
	case kind != websocket.MessageText:
		r.expel("messages are text")
		return false
	case !utf8.Valid(data):
		r.expel("messages are UTF-8")
		return false
	case !r.budget.Allow():
		r.expel("too many messages")
		return false
	}
	m, err := parseMessage(data)
	if err != nil {
		if r.mistakes++; r.mistakes > maxMistakes {
			r.expel("too many messages that cannot be read")
			return false
		}
		r.say(hub.AppendRefusal(nil, "", err))
		return true
	}
	r.obey(m)
	return true
}

// obey carries out a client's message.
func (r *reader) obey(m message) {
	s := r.conn.server
	if len(m.topics) > s.options.MaxTopics {
		r.say(hub.AppendRefusal(nil, "", tally.Errorf(tally.CodeTooManyTopics, "a message names at most %d topics", s.options.MaxTopics)))
		return
	}
	var refusals [][]byte
	switch m.verb {
	case verbSubscribe:
		watch := s.resolve(m.topics, r.session.Admit)
		for _, refusal := range watch.refusals {
			r.say(refusal)
		}
		r.subscribe(watch.topics)
	case verbUnsubscribe:
		s.hub.Unsubscribe(&r.conn.Viewer, s.resolve(m.topics, admitAll).topics)
	case verbPresent:
		refusals = s.enter(&r.conn.conn, m.topics, r.session.Admit)
	case verbAbsent:
		for _, topic := range s.resolve(m.topics, admitAll).topics {
			if i := r.conn.presentOn(topic); i >= 0 {
				last := len(r.conn.present) - 1
				r.conn.present[i] = r.conn.present[last]
				r.conn.present = r.conn.present[:last]
				s.presence.Leave(topic)
			}
		}
	}
	for _, refusal := range refusals {
		r.say(refusal)
	}
}

// admitAll admits what a client wants to leave.
func admitAll(tally.Topic) error { return nil }
