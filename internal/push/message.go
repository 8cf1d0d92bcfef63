package push

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// messageRate is how many messages and pings a client may send in a second, of which
	// messageBurst may come at once; a page sends a handful in its life. A client that
	// sends more is closed. A message counts once more for each topicWeight topics.
	messageRate  = 20
	messageBurst = 100
	topicWeight  = 50
	// maxBadMessages is how many messages with a bad syntax a client may send.
	maxBadMessages = 8
)

// messageLimit bounds the messages and pings of one connection.
var messageLimit = ratelimit.NewRate(ratelimit.Limit{Count: messageRate, Per: time.Second}, messageBurst/messageRate)

// allow reports whether the client may send weight more messages now.
func (c *socketConn) allow(weight int) bool {
	return messageLimit.Take(&c.budget, c.server.now(), weight) == 0
}

// receive handles what the client sent. Only the reader calls it.
func (c *socketConn) receive(data []byte) {
	if c.ignoresInput || len(data) == 0 {
		return
	}
	if v := c.inbound.feed(data, c); v != nil {
		c.closeFor(v)
	}
}

// closeFor closes the connection of a client that broke a rule.
func (c *socketConn) closeFor(v *violation) {
	c.ignoresInput = true
	c.server.hub.Finish(&c.Viewer, appendClose(nil, v.code, v.reason), hub.ReasonPolicy)
}

// close implements receiver. It answers a close frame with the same code.
func (c *socketConn) close(payload []byte) {
	c.ignoresInput = true
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

// pong implements receiver. A client may send unsolicited pongs (RFC 6455, section 5.5.3).
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
		if c.badMessages++; c.badMessages > maxBadMessages {
			return &violation{closePolicy, "too many messages that cannot be read"}
		}
		c.send(hub.AppendRefusal(nil, "", err))
		return nil
	}
	c.execute(m)
	return nil
}

// message is what a client sends on its WebSocket: one verb, and topics.
type message struct {
	verb   verb
	topics []string
}

type verb uint8

const (
	verbSubscribe verb = iota + 1
	verbUnsubscribe
	verbPresent
	verbAbsent
)

var errBadMessage = tally.Errorf(tally.CodeBadBody,
	`a message is one of {"subscribe":[…]}, {"unsubscribe":[…]}, {"present":[…]}, {"absent":[…]} with a list of topics`)

// parseMessage reads an object with one of the four verbs and a list of strings.
// Errors: [tally.CodeBadBody].
func parseMessage(data []byte) (m message, err error) {
	var body struct {
		Subscribe   *[]string `json:"subscribe"`
		Unsubscribe *[]string `json:"unsubscribe"`
		Present     *[]string `json:"present"`
		Absent      *[]string `json:"absent"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&body) != nil {
		return message{}, errBadMessage
	}
	if _, err := decoder.Token(); err != io.EOF {
		return message{}, errBadMessage
	}
	for i, topics := range [...]*[]string{body.Subscribe, body.Unsubscribe, body.Present, body.Absent} {
		switch {
		case topics == nil:
		case m.verb != 0:
			return message{}, errBadMessage
		default:
			m = message{verb: verb(i + 1), topics: *topics}
		}
	}
	if m.verb == 0 {
		return message{}, errBadMessage
	}
	return m, nil
}

// execute executes a client's message.
func (c *socketConn) execute(m message) {
	s := c.server
	if err := tally.CheckTopicCount(len(m.topics)); err != nil {
		c.send(hub.AppendRefusal(nil, "", err))
		return
	}
	switch m.verb {
	case verbSubscribe:
		watch := s.resolve(m.topics, c.admit)
		c.sendAll(watch.refusals)
		c.sendAll(s.subscribe(&c.conn, watch.topics))
	case verbUnsubscribe:
		s.hub.Unsubscribe(&c.Viewer, s.resolve(m.topics, admitAll).topics)
	case verbPresent:
		c.sendAll(s.enter(&c.conn, m.topics, c.admit))
	case verbAbsent:
		s.leave(&c.conn, s.resolve(m.topics, admitAll).topics)
	}
}

// admitAll admits all topics: a client may leave any.
func admitAll(tally.Topic) error { return nil }
