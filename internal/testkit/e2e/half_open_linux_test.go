package e2e_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// dropIncoming makes the connection half-open, like a pulled cable: the client's kernel
// drops every segment and acknowledges nothing.
func (w *wire) dropIncoming() {
	w.t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		w.t.Fatal(err)
	}
	// A filter that keeps 0 bytes of each segment (socket(7)).
	keepNothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(keepNothing)), Filter: &keepNothing[0]})
	})
	if err != nil || failed != nil {
		w.t.Fatalf("attach a filter: %v, %v", err, failed)
	}
	_ = w.SetLinger(0) // on close the kernel does not retransmit for minutes
}

// openHalfOpen opens viewers of a topic by both transports, with and without presence, waits
// until all are live, and makes them half-open.
func (s *service) openHalfOpen(topic string, each int) (viewers, present int) {
	s.client.t.Helper()
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
		w.dropIncoming()
	}
	return len(wires), len(wires) / 2
}

// Half-open viewers are closed after --write-timeout. Others notice nothing.
func TestHalfOpen_ChangingTopic(t *testing.T) {
	t.Parallel()
	const writeTimeout, topic = 3 * time.Second, "default/likes/x"
	s := serve(t, "--write-timeout", writeTimeout.String())
	beside := s.neighbours(topic)
	gone, present := s.openHalfOpen(topic, 2)
	beside.awaitReaders(2 + present)
	vanished := time.Now()
	for range 10 {
		beside.sendLike()
	}
	processtest.Within(t, writeTimeout+soon, "all of them are closed", func() bool { return s.metric("tallycast_viewers") == 2 })
	closed := time.Now()
	if after := closed.Sub(vanished); after < writeTimeout {
		t.Errorf("closed after %s, which is before --write-timeout", after)
	}
	if n := s.viewersLeft("write_timeout"); int(n) != gone {
		t.Errorf("%v of %d were closed for write_timeout", n, gone)
	}
	beside.awaitReaders(2)
	if after := time.Since(closed); after > 3*time.Second+soon { // a page that went counts for 3 s more
		t.Errorf("readers were uncounted after %s", after)
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
	gone, present := s.openHalfOpen("default/likes/quiet", 1)
	beside.awaitReaders(2 + present)
	processtest.Within(t, beat+writeTimeout+soon, "all of them are closed", func() bool { return s.viewersLeft("write_timeout") == float64(gone) })
	beside.awaitReaders(2)
	beside.sendLike()
	beside.checkUnaffected()
	if held := s.metric(`tallycast_connections{transport="sse"}`) + s.metric(`tallycast_connections{transport="websocket"}`); held != 2 {
		t.Errorf("%v connections are held", held)
	}
}
