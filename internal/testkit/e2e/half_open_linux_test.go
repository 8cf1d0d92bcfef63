package e2e_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// openHalfOpen opens viewers of a topic by both transports, with and without presence, waits
// until all are live, and makes them half-open.
func (s *service) openHalfOpen(topic string, each int) (viewers, present int) {
	s.t.Helper()
	var wires []*wire
	for _, query := range []string{"?topic=" + topic, "?topic=" + topic + "&present=" + readers} {
		for range each {
			wires = append(wires,
				s.wire().send(request("GET", "/v1/stream"+query, "")),
				s.wire().send(request("GET", "/v1/ws"+query, "", upgrade...)))
		}
	}
	for _, w := range wires {
		w.readUntil(`{"event":"live"}`)
		processtest.DropIncoming(s.t, w.TCPConn)
	}
	return len(wires), len(wires) / 2
}

// Half-open viewers are closed after --write-timeout. Others are not affected.
func TestHalfOpen_ChangingTopic(t *testing.T) {
	t.Parallel()
	const writeTimeout, topic = 3 * time.Second, "default/likes/x"
	s := serve(t, "--write-timeout", writeTimeout.String())
	beside := s.neighbours(topic)
	halfOpen, present := s.openHalfOpen(topic, 2)
	beside.awaitReaders(2 + present)
	dropped := time.Now()
	for range 10 {
		beside.sendLike()
	}
	processtest.Within(t, writeTimeout+soon, "all of them are closed", func() bool { return s.Metric("tallycast_viewers") == 2 })
	closed := time.Now()
	if after := closed.Sub(dropped); after < writeTimeout {
		t.Errorf("closed after %s, which is before --write-timeout", after)
	}
	if n := s.viewersLeft("write_timeout"); int(n) != halfOpen {
		t.Errorf("%v of %d were closed for write_timeout", n, halfOpen)
	}
	beside.awaitReaders(2)
	if after := time.Since(closed); after > 3*time.Second+soon { // a page that went counts for 3 s more
		t.Errorf("the readers were subtracted after %s", after)
	}
	for range 5 {
		beside.sendLike()
	}
	beside.checkUnaffected()
}

// On a topic without changes, unacknowledged beats reveal half-open viewers.
func TestHalfOpen_SilentTopic(t *testing.T) {
	t.Parallel()
	const beat, writeTimeout = 25 * time.Second, 2 * time.Second
	s := serve(t, "--write-timeout", writeTimeout.String())
	beside := s.neighbours("default/likes/x")
	halfOpen, present := s.openHalfOpen("default/likes/quiet", 1)
	beside.awaitReaders(2 + present)
	processtest.Within(t, beat+writeTimeout+soon, "all of them are closed", func() bool { return s.viewersLeft("write_timeout") == float64(halfOpen) })
	beside.awaitReaders(2)
	beside.sendLike()
	beside.checkUnaffected()
	if held := s.Metric(`tallycast_connections{transport="sse"}`) + s.Metric(`tallycast_connections{transport="websocket"}`); held != 2 {
		t.Errorf("%v connections are held", held)
	}
}
