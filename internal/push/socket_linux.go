package push

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a TCP socket that was taken from package net. That package's state of a
// connection takes more memory than the rest of a viewer: both addresses, locks, and an entry
// in the runtime's poller.
type socket struct{ descriptor int32 }

func (s socket) fd() int { return int(s.descriptor) }

// newSocket moves the socket of tcp to another descriptor, and closes tcp. If it fails, tcp
// stays open.
func newSocket(tcp *net.TCPConn) (socket, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return socket{}, err
	}
	var fd int
	var failed error
	err = raw.Control(func(old uintptr) {
		fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return socket{}, err
	}
	_ = tcp.Close() // the socket stays open
	return socket{int32(fd)}, nil
}

// write makes one attempt to write. The socket does not block, so the call bypasses the
// scheduler. To notify the scheduler would take more time than the rest of a delivery.
func (s socket) write(p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(s.descriptor), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// closeWrite ends the output.
func (s socket) closeWrite() { _ = syscall.Shutdown(s.fd(), syscall.SHUT_WR) }

// closeSocket closes the socket.
func (s socket) closeSocket() { _ = syscall.Close(s.fd()) }
