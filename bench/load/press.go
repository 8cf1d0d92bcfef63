package load

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// answerHead begins an answer to an assertion.
const answerHead = `{"id":`

// Pressed is the result of [Crowd.Press]. Times are in ns of [Clock].
type Pressed struct {
	Answered            int // without an error
	LastPress, LastSeen int64
	Latencies           []int64 // ns of each answer, in no order
}

// Press makes each viewer assert its first topic once over its WebSocket, evenly over the
// given time. It returns when all are answered, or an error if ctx ends before.
func (c *Crowd) Press(ctx context.Context, over time.Duration, message Request) (p Pressed, err error) {
	began := Clock()
	for i := range c.viewers {
		due := began + int64(over)*int64(i)/int64(len(c.viewers))
		if wait := time.Duration(due - Clock()); wait > 0 {
			time.Sleep(wait)
		}
		c.mu.Lock()
		v := &c.viewers[i]
		v.pressed = Clock()
		c.send(v, message(nil, Topic(int(v.first)), int64(i+1)))
		c.mu.Unlock()
	}
	p.LastPress = Clock()
	err = c.until(ctx, func() (bool, string) {
		return c.answered+c.refused >= int64(len(c.viewers)), fmt.Sprintf("%d of %d viewers are answered", c.answered, len(c.viewers))
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Answered, p.LastSeen = int(c.answered), c.lastAnswer
	p.Latencies = append(p.Latencies, c.latencies...)
	if err == nil && c.refused > 0 {
		err = fmt.Errorf("%d assertions were refused: %q", c.refused, c.problems)
	}
	return p, err
}

// takeAnswer processes an answer to v's assertion.
func (c *Crowd) takeAnswer(v *viewer, answer []byte, now int64) {
	c.lastAnswer = now
	if bytes.Contains(answer, []byte(`"error":`)) {
		c.refused++
		c.recordProblem("%s", answer)
		return
	}
	c.answered++
	c.latencies = append(c.latencies, now-v.pressed)
}
