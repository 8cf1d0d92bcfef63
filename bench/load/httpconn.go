package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer is the limit of an answer to a like, in bytes.
const maxAnswer = 4096

// httpConn is a kept HTTP/1.1 connection with at most one request in flight. Its socket does
// not block and is not in Go's poller, so that a like costs the client two system calls and
// a share of a third: the client shares the machine with the server.
type httpConn struct {
	fd     int
	answer []byte // the part read so far; its array is reused
}

// dialHTTP connects from one address to another.
func dialHTTP(from netip.Addr, to netip.AddrPort) (*httpConn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	// The kernel chooses the port when both ends are known, so that ports can repeat.
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd) // the earlier error is more useful
		return nil, fmt.Errorf("connect from %s to %s: %w", from, to, err)
	}
	return &httpConn{fd: fd, answer: make([]byte, 0, maxAnswer)}, nil
}

func (c *httpConn) close() error { return unix.Close(c.fd) }

func (c *httpConn) descriptor() int { return c.fd }

// send sends a request. The empty socket has room for it.
func (c *httpConn) send(request []byte) error {
	c.answer = c.answer[:0]
	n, err := unix.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = errors.New("the socket is full")
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// read reads available data. It returns the body, valid until the next request, when the
// answer is complete, and nil before. An answer without success is an error.
func (c *httpConn) read() (body []byte, err error) {
	for {
		n, err := unix.Read(c.fd, c.answer[len(c.answer):cap(c.answer)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		case n == 0:
			return nil, errors.New("the server closed the connection")
		}
		c.answer = c.answer[:len(c.answer)+n]
		body, whole, err := parseAnswer(c.answer)
		switch {
		case err != nil || whole:
			return body, err
		case len(c.answer) == cap(c.answer):
			return nil, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
		}
	}
}

// await waits for the answer to the last request.
func (c *httpConn) await(within time.Duration) ([]byte, error) {
	deadline := time.Now().Add(within)
	for {
		body, err := c.read()
		if body != nil || err != nil {
			return body, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("no answer within %v", within)
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("wait for an answer: %w", err)
		}
	}
}

// parseAnswer returns the body of an HTTP/1.1 answer with Content-Length if data has all of
// it.
func parseAnswer(data []byte) (body []byte, whole bool, err error) {
	head, rest, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if !ok {
		return nil, false, nil
	}
	status, fields, _ := bytes.Cut(head, []byte("\r\n"))
	length := -1
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(field, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, false, fmt.Errorf("Content-Length: %w", err)
			}
		}
	}
	switch {
	case length < 0:
		return nil, false, fmt.Errorf("%s: an answer without a length", status)
	case len(rest) < length:
		return nil, false, nil
	case len(rest) > length:
		return nil, false, fmt.Errorf("%s: %d bytes after the answer", status, len(rest)-length)
	case len(status) < 12 || status[9] != '2':
		return nil, false, fmt.Errorf("%s: %.200s", status, rest)
	}
	return rest[:length:length], true, nil
}

// number returns the integer after name in data, or 0.
func number(data []byte, name string) (n int64) {
	at := bytes.Index(data, []byte(name))
	if at < 0 {
		return 0
	}
	for _, c := range data[at+len(name):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
