package e2e_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vanish makes the connection half-open, as a pulled cable or a phone in a tunnel
// does: from now on the client's kernel drops every segment before it looks at it, so
// that nothing the server sends is acknowledged, and the client says nothing itself.
func (w *wire) vanish() {
	w.t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		w.t.Fatal(err)
	}
	// A program of one instruction: of each segment keep 0 bytes (socket(7)).
	keepNothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(keepNothing)), Filter: &keepNothing[0]})
	})
	if err != nil || failed != nil {
		w.t.Fatalf("attach a filter: %v, %v", err, failed)
	}
	_ = w.SetLinger(0) // what the test closes in the end is not sent again for minutes
}

// halfOpen opens viewers of topic by both transports, with and without presence, waits
// until all are current, and lets them vanish.
func (s *service) halfOpen(topic string, each int) (viewers, present int) {
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
		w.awaits(`{"event":"live"}`)
		w.vanish()
	}
	return len(wires), len(wires) / 2
}

// A viewer whose network went without a word is found by the numbers that it does not
// acknowledge, whatever its transport, and its neighbours do not notice.
func TestHalfOpenViewersAreClosedWithinTheWriteTimeoutAndUncounted(t *testing.T) {
	t.Parallel()
	const writeTimeout, topic = 3 * time.Second, "default/likes/x"
	s := serve(t, "--write-timeout", writeTimeout.String())
	beside := s.neighbours(topic)
	gone, present := s.halfOpen(topic, 2)
	beside.sawReaders(2 + present)
	vanished := time.Now()
	for range 10 {
		beside.press()
	}
	within(t, writeTimeout+soon, "all of them are closed", func() bool { return s.metric("tallycast_viewers") == 2 })
	closed := time.Now()
	if after := closed.Sub(vanished); after < writeTimeout {
		t.Errorf("closed after %s, which is before --write-timeout", after)
	}
	if n := s.left("write_timeout"); int(n) != gone {
		t.Errorf("%v of %d were closed for write_timeout", n, gone)
	}
	beside.sawReaders(2)
	if after := time.Since(closed); after > 3*time.Second+soon { // a page that went counts for 3 s more
		t.Errorf("readers were uncounted after %s", after)
	}
	for range 5 {
		beside.press()
	}
	beside.unharmed()
}

// Where nothing changes it is the beat that is not acknowledged.
func TestHalfOpenViewersAreFoundByTheirBeatsWhereNothingChanges(t *testing.T) {
	t.Parallel()
	const beat, writeTimeout = 25 * time.Second, 2 * time.Second
	s := serve(t, "--write-timeout", writeTimeout.String())
	beside := s.neighbours("default/likes/x")
	gone, present := s.halfOpen("default/likes/quiet", 1)
	beside.sawReaders(2 + present)
	within(t, beat+writeTimeout+soon, "all of them are closed", func() bool { return s.left("write_timeout") == float64(gone) })
	beside.sawReaders(2)
	beside.press()
	beside.unharmed()
	if held := s.metric(`tallycast_connections{transport="sse"}`) + s.metric(`tallycast_connections{transport="websocket"}`); held != 2 {
		t.Errorf("%v connections are held", held)
	}
}
