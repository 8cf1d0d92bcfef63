package load

import (
	"bytes"
)

// state is the state of a viewer's connection.
type state uint8

const (
	unconnected  state = iota // no connection
	connecting                // the TCP handshake is in progress
	awaitingHead              // the request is sent
	receiving                 // the head has arrived; the snapshot is next
	live
	lost // the server refused or disconnected
)

// topicState is the state of one topic at a viewer.
type topicState struct {
	count   int64
	version int64
}

// viewer is one viewer, guarded by the crowd's lock.
type viewer struct {
	fd     int32
	state  state
	first  int32 // number of its first topic; the others follow
	frames int32 // since the last reset
	topics []topicState
	tail   []byte // unparsed data: the beginning of a frame or of the marker
	last   int64  // time of the last frame, in ns of Clock
	// pressed is when it asserted its topic, in ns of Clock; 0 before.
	pressed int64
	// Frames within the second that began at second, and the most within one second.
	second  int64
	within  int32
	busiest int32
}

const secondNs = 1e9

// consume parses data read at now, which begins with the viewer's tail. It returns false if
// the server refused the viewer.
func (c *Crowd) consume(v *viewer, data []byte, now int64) bool {
	if v.state == awaitingHead {
		head, body, whole := bytes.Cut(data, []byte("\r\n\r\n"))
		if !whole {
			v.keepTail(data)
			return true
		}
		status, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("HTTP/1.1 ")), []byte(" "))
		if string(status) != c.plan.Endpoint.status() {
			c.recordProblem("refused: %.200q", data)
			return false
		}
		if len(c.firstMessage) > 0 && !c.send(v, c.firstMessage) {
			return false
		}
		v.state = receiving
		data = body
		if c.plan.Endpoint.Ready == "" {
			c.becomeLive(v, now)
		}
	}
	if v.state == receiving {
		if at := bytes.Index(data, []byte(c.plan.Endpoint.Ready)); at >= 0 {
			c.becomeLive(v, now)
		}
	}
	for len(data) > 0 {
		f, from, to, what := nextFrame(data)
		if v.pressed != 0 {
			if at := bytes.Index(data, []byte(answerHead)); at >= 0 && (what == none || at < from) {
				end := bytes.IndexByte(data[at:], '}')
				if end < 0 {
					data = data[at:]
					break
				}
				c.takeAnswer(v, data[at:at+end+1], now)
				data = data[at+end+1:]
				continue
			}
		}
		switch what {
		case found:
			c.apply(v, f, now)
			data = data[to:]
			continue
		case malformed:
			c.malformed++
			c.recordProblem("malformed: %.200q", data[from:])
			data = data[to:]
			continue
		case none, cut:
		}
		if v.state == receiving {
			from = min(from, max(0, len(data)-len(c.plan.Endpoint.Ready)+1))
		}
		if v.pressed != 0 {
			from = min(from, cutHead(data, answerHead))
		}
		data = data[from:]
		break
	}
	v.keepTail(data)
	return true
}

// keepTail stores unparsed data.
func (v *viewer) keepTail(data []byte) {
	if len(data) == 0 {
		v.tail = nil
		return
	}
	v.tail = append(v.tail[:0:0], data...)
}

// becomeLive records that v has its snapshot.
func (c *Crowd) becomeLive(v *viewer, now int64) {
	v.state = live
	c.arriving--
	c.live++
	c.lastArrival = now
}

// apply processes a frame.
func (c *Crowd) apply(v *viewer, f frame, now int64) {
	at := f.topic - int(v.first)
	if at < 0 {
		at += c.plan.Topics // the viewer's topics wrap around
	}
	if at < 0 || at >= len(v.topics) {
		c.unrequested++
		return
	}
	held := &v.topics[at]
	c.frames++
	v.frames++
	v.last = now
	if now-v.second >= secondNs {
		v.second, v.within = now, 0
	}
	v.within++
	v.busiest = max(v.busiest, v.within)
	switch {
	case f.version < held.version:
		c.decreased++
		return
	case f.version == held.version && held.version != 0:
		c.repeated++
	}
	if c.plan.Record {
		c.events = append(c.events, Event{At: now, Before: held.count, Count: f.count})
	}
	held.count, held.version = f.count, f.version
}
