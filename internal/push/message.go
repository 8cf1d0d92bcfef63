package push

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// messageRate is how many messages and pings a client may send in a second, and
	// messageBurst how many at once; a page sends a handful in its life. A client that sends
	// more is closed. A message counts once more for each topicWeight topics.
	messageRate  = 20
	messageBurst = 100
	topicWeight  = 50
	// maxBadMessages is how many malformed messages a client may send.
	maxBadMessages = 8
)

// messageLimit bounds the messages and pings of one connection.
var messageLimit = ratelimit.NewRate(ratelimit.Limit{Count: messageRate, Per: time.Second}, messageBurst/messageRate)

// allow reports whether the client may send weight more messages now.
func (c *socketConn) allow(weight int) bool {
	return messageLimit.Take(&c.budget, c.server.now(), weight) == 0
}

// receive handles bytes from the client. Only the reader calls it.
func (c *socketConn) receive(data []byte) {
	if c.ignoresInput || len(data) == 0 {
		return
	}
	var in inbound
	if c.incomplete != nil {
		in = *c.incomplete
	}
	v := in.feed(data, c)
	c.incomplete = nil
	if !in.isComplete() {
		rest := in
		c.incomplete = &rest
	}
	if v != nil {
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

// text implements receiver. Assertions have a limit of their own, see assert.
func (c *socketConn) text(data []byte) *violation {
	m, err := parseMessage(data)
	if err == nil && m.verb == verbAssert {
		if err = c.assert(data); err == nil {
			return nil
		}
	}
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

// message is what a client sends on its WebSocket: an assertion, or another verb and
// topics.
type message struct {
	verb   string
	topics []string
}

const (
	verbSubscribe   = "subscribe"
	verbUnsubscribe = "unsubscribe"
	verbPresent     = "present"
	verbAbsent      = "absent"
	verbAssert      = "assert"
)

// assertPrefix is how the elements begin an assertion.
const assertPrefix = `{"` + verbAssert + `":`

var errBadMessage = tally.Errorf(tally.CodeBadBody,
	`a message is one of {"subscribe":[…]}, {"unsubscribe":[…]}, {"present":[…]}, {"absent":[…]} with a list of topics, or {"assert":"…","id":…}`)

// parseMessage parses an object with one verb and a list of strings. Of an assertion it reads
// the verb only; [Rights.ParseAssertion] parses it. Errors: [tally.CodeBadBody].
func parseMessage(data []byte) (m message, err error) {
	if bytes.HasPrefix(data, []byte(assertPrefix)) {
		return message{verb: verbAssert}, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return message{}, errBadMessage
	}
	if _, ok := fields[verbAssert]; ok {
		return message{verb: verbAssert}, nil
	}
	for verb, list := range fields {
		switch verb {
		case verbSubscribe, verbUnsubscribe, verbPresent, verbAbsent:
			if len(fields) == 1 && list[0] == '[' && json.Unmarshal(list, &m.topics) == nil {
				m.verb = verb
				return m, nil
			}
		}
	}
	return message{}, errBadMessage
}

// execute executes a message that is no assertion.
func (c *socketConn) execute(m message) {
	s := c.server
	if err := tally.CheckTopicCount(len(m.topics)); err != nil {
		c.send(hub.AppendRefusal(nil, "", err))
		return
	}
	refused := refusals{encode: appendText}
	switch m.verb {
	case verbSubscribe:
		topics := s.resolve(m.topics, c.rights.Admit, &refused)
		c.sendRefusals(&refused) // before the snapshot
		s.subscribe(&c.conn, topics, &refused)
	case verbUnsubscribe:
		s.unsubscribe(&c.conn, s.resolve(m.topics, admitAll, nil))
	case verbPresent:
		s.enter(&c.conn, m.topics, c.rights, &refused)
	case verbAbsent:
		s.leave(&c.conn, s.resolve(m.topics, admitAll, nil))
	}
	c.sendRefusals(&refused)
}

// admitAll admits all topics, since a client may leave any.
func admitAll(tally.Topic) error { return nil }
