package push

import (
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// Assertion is an assertion that a client sent on its WebSocket.
type Assertion struct {
	// ID is the number that the client gave it. The answer has it too.
	ID int64
	// Start makes the assertion. It does not wait, and calls done once, at once or later,
	// with the answer, a JSON object that is not empty, or with an error.
	Start func(done func(answer []byte, err error))
}

const (
	// maxUnanswered is how many assertions of one connection may be unanswered: more than
	// a reader presses within the 3 s in which each is answered.
	maxUnanswered = 16
	// draining is added to the number of unanswered assertions of a connection that
	// accepts no more. It is above maxUnanswered.
	draining = 1 << 16
)

var errTooManyUnanswered = &tally.Error{
	Code:       tally.CodeRateLimited,
	Message:    "too many assertions of this connection are unanswered: wait for answers, at most " + strconv.Itoa(maxUnanswered) + " may be on their way",
	RetryAfter: time.Second,
}

// assert starts the assertion in a message. Each assertion with an id is answered, except
// while draining, when the connection closes before an answer could be sent. Only the
// reader calls it. An error means that the message has no id.
func (c *socketConn) assert(data []byte) error {
	assertion, err := c.rights.ParseAssertion(data)
	if err != nil {
		return err
	}
	n := c.unanswered.Load()
	for n < maxUnanswered && !c.unanswered.CompareAndSwap(n, n+1) {
		n = c.unanswered.Load()
	}
	switch {
	case n >= draining:
	case n >= maxUnanswered:
		c.send(appendAnswer(nil, assertion.ID, nil, errTooManyUnanswered))
	default:
		assertion.Start(func(answer []byte, err error) {
			c.send(appendAnswer(make([]byte, 0, len(answer)+32), assertion.ID, answer, err))
			if c.unanswered.Add(-1) == draining {
				c.server.hub.Finish(&c.Viewer, drainFrame(webSocket), hub.ReasonDraining)
			}
		})
	}
	return nil
}

// drain closes c after its assertions are answered.
func (s *Server) drain(c *conn, format hub.Format) {
	if c.unanswered.Add(draining) == draining {
		s.hub.Finish(&c.Viewer, drainFrame(format), hub.ReasonDraining)
	}
}

// appendAnswer appends the answer to the assertion with that id, or its error:
//
//	{"id":7,"topic":"blog/likes/hello","count":43,"version":1790000000000001,"mine":1,"changed":true}
//	{"id":7,"error":{"code":"rate_limited","message":"…","retry_after":2}}
func appendAnswer(dst []byte, id int64, answer []byte, err error) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(strconv.AppendInt(dst, id, 10), ',')
	if err == nil {
		return append(dst, answer[1:]...)
	}
	e := tally.AsError(err)
	dst = append(dst, `"error":{"code":`...)
	dst = tally.AppendJSONString(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = tally.AppendJSONString(dst, strings.ToValidUTF8(e.Message, "\uFFFD"))
	if e.RetryAfter > 0 {
		dst = append(dst, `,"retry_after":`...)
		dst = strconv.AppendInt(dst, e.RetrySeconds(), 10)
	}
	return append(dst, "}}"...)
}
