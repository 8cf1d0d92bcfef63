package load

import (
	"bytes"
)

// state is how far a viewer has come.
type state uint8

const (
	away       state = iota // not connected
	connecting              // the kernel is
	waiting                 // for the head of the answer
	entering                // for the marker
	live
	lost // the server closed or refused
)

// slot is what a viewer holds of one topic.
type slot struct {
	count   int64
	version int64
}

// viewer is one watcher. The crowd's lock guards it.
type viewer struct {
	fd     int32
	state  state
	first  int32 // number of its first topic; the others follow
	frames int32 // since the last reset
	slots  []slot
	tail   []byte // of what was read, and may be the beginning of a frame or the marker
	last   int64  // when the last frame came, in ns of the crowd's clock
	// Frames within the second that began at second, and the most in any such one.
	second  int64
	within  int32
	busiest int32
}

const secondNs = 1e9

// take takes up what was read at now. It returns false for a viewer that was
// refused. data begins with what the viewer's tail held.
func (c *Crowd) take(v *viewer, data []byte, now int64) bool {
	if v.state == waiting {
		head, body, whole := bytes.Cut(data, []byte("\r\n\r\n"))
		if !whole {
			v.keep(data)
			return true
		}
		status, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("HTTP/1.1 ")), []byte(" "))
		if string(status) != c.plan.Door.status() {
			c.note("refused: %.200q", data)
			return false
		}
		if len(c.greeting) > 0 && !c.send(v, c.greeting) {
			return false
		}
		v.state = entering
		data = body
		if c.plan.Door.Ready == "" {
			c.arrived(v, now)
		}
	}
	if v.state == entering {
		if at := bytes.Index(data, []byte(c.plan.Door.Ready)); at >= 0 {
			c.arrived(v, now)
		}
	}
	for len(data) > 0 {
		f, from, to, what := nextFrame(data)
		switch what {
		case found:
			c.count(v, f, now)
			data = data[to:]
			continue
		case malformed:
			c.malformed++
			c.note("malformed: %.200q", data[from:])
			data = data[to:]
			continue
		case none, cut:
		}
		if v.state == entering {
			from = min(from, max(0, len(data)-len(c.plan.Door.Ready)+1))
		}
		data = data[from:]
		break
	}
	v.keep(data)
	return true
}

// keep keeps data until more comes.
func (v *viewer) keep(data []byte) {
	if len(data) == 0 {
		v.tail = nil
		return
	}
	v.tail = append(v.tail[:0:0], data...)
}

// arrived notes that v misses no change any more.
func (c *Crowd) arrived(v *viewer, now int64) {
	v.state = live
	c.arriving--
	c.live++
	c.lastArrival = now
}

// count takes up a frame.
func (c *Crowd) count(v *viewer, f frame, now int64) {
	at := f.topic - int(v.first)
	if at < 0 {
		at += c.plan.Topics // its topics wrap around
	}
	if at < 0 || at >= len(v.slots) {
		c.strange++
		return
	}
	held := &v.slots[at]
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
		c.back++
		return
	case f.version == held.version && held.version != 0:
		c.repeated++
	}
	if c.plan.Record {
		c.events = append(c.events, Event{At: now, Before: held.count, Count: f.count})
	}
	held.count, held.version = f.count, f.version
}
