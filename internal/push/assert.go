package push

import (
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/tally"
)

// Assertion is an assertion that a client sent on its WebSocket.
type Assertion struct {
	// ID is the number that the client gave it. The answer has it too.
	ID int64
	// Start makes the assertion. It does not wait. It calls done once, at once or later, with
	// an error, or with the answer, a JSON object that is not empty, and the state of the topic.
	// done does not keep the answer.
	Start func(done func(answer []byte, change tally.Change, err error))
}

const (
	// maxUnanswered is how many assertions of one connection may be unanswered: more than
	// a reader presses within the 3 s in which each is answered.
	maxUnanswered = 16
	// draining is added to the number of unanswered assertions of a connection that accepts no
	// more of them. It is above maxUnanswered.
	draining = 1 << 16
)

var errTooManyUnanswered = &tally.Error{
	Code:       tally.CodeRateLimited,
	Message:    "too many assertions of this connection are unanswered: wait for answers, at most " + strconv.Itoa(maxUnanswered) + " may be on their way",
	RetryAfter: time.Second,
}

// assert starts the assertion in a message. The client gets an answer, unless the connection
// is draining: then it closes before the answer. Only the reader calls it. An error means
// that the message has no id.
func (c *socketConn) assert(data []byte) error {
	assertion, err := c.rights.ParseAssertion(data)
	if err != nil {
		return err
	}
	n := c.Unanswered.Load()
	for n < maxUnanswered && !c.Unanswered.CompareAndSwap(n, n+1) {
		n = c.Unanswered.Load()
	}
	switch {
	case n >= draining:
	case n >= maxUnanswered:
		c.send(appendFailure(nil, assertion.ID, errTooManyUnanswered))
	default:
		id := assertion.ID
		assertion.Start(func(answer []byte, change tally.Change, err error) {
			if err != nil {
				c.send(appendFailure(nil, id, err))
			} else {
				c.server.hub.Answer(&c.Viewer, appendAnswer(make([]byte, 0, len(answer)+32), id, answer), change)
			}
			if c.Unanswered.Add(-1) == draining {
				c.server.hub.Finish(&c.Viewer, drainFrame(webSocket), hub.ReasonDraining)
			}
		})
	}
	return nil
}

// drain closes c after its assertions are answered.
func (s *Server) drain(c *conn, format hub.Format) {
	if c.Unanswered.Add(draining) == draining {
		s.hub.Finish(&c.Viewer, drainFrame(format), hub.ReasonDraining)
	}
}

// appendAnswer appends the message with the answer to the assertion with that id:
//
//	{"id":7,"topic":"blog/likes/hello","count":43,"version":1790000000000001,"mine":1,"changed":true}
func appendAnswer(dst []byte, id int64, answer []byte) []byte {
	var buffer [32]byte
	head := append(strconv.AppendInt(append(buffer[:0], answerHead...), id, 10), ',')
	dst = appendTextHeader(dst, len(head)+len(answer)-1)
	return append(append(dst, head...), answer[1:]...)
}

// answerHead begins an answer.
const answerHead = `{"id":`

// appendFailure appends the answer to the assertion with that id, which failed:
//
//	{"id":7,"error":{"code":"rate_limited","message":"…","retry_after":2}}
func appendFailure(dst []byte, id int64, err error) []byte {
	dst = strconv.AppendInt(append(dst, answerHead...), id, 10)
	dst = hub.AppendError(append(dst, `,"error":`...), err)
	if e := tally.AsError(err); e.RetryAfter > 0 {
		dst = append(dst[:len(dst)-1], `,"retry_after":`...)
		dst = append(strconv.AppendInt(dst, e.RetrySeconds(), 10), '}')
	}
	return append(dst, '}')
}
