package processtest

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// DropIncoming makes a connection half-open, like a pulled cable: the kernel drops every
// segment that arrives at conn, and acknowledges nothing.
func DropIncoming(t testing.TB, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// A filter that keeps 0 bytes of each segment (socket(7)).
	keepNothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &keepNothing[0]})
	})
	if err != nil || failed != nil {
		t.Fatalf("attach a filter: %v, %v", err, failed)
	}
	_ = conn.SetLinger(0) // on close the kernel does not retransmit for minutes
}
