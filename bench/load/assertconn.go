package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// maxFrame is the limit of a frame of a server, in bytes: far above a change or an answer.
const maxFrame = 4096

// assertConn is a WebSocket over which likes are asserted, with at most one unanswered. It
// also receives the changes of the topics that it watches.
type assertConn struct {
	fd   int
	data []byte // not parsed yet; its array is reused
	used int    // bytes of data that were returned
}

// dialAssert opens a WebSocket that watches topics first to first+count-1.
func dialAssert(from netip.Addr, endpoint Endpoint, first, count int) (*assertConn, error) {
	to, err := netip.ParseAddrPort(endpoint.Address)
	if err != nil {
		return nil, err
	}
	inner, err := dialHTTP(from, to)
	if err != nil {
		return nil, err
	}
	c := &assertConn{fd: inner.fd, data: make([]byte, 0, 64<<10)}
	topics := make([]int, count)
	for i := range topics {
		topics[i] = first + i
	}
	if err := c.send(endpoint.request(topics)); err != nil {
		return nil, errors.Join(err, c.close())
	}
	for deadline := time.Now().Add(likeTimeout); !bytes.Contains(c.data, []byte(endpoint.Ready)); {
		if err := c.fill(); err != nil || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("open a WebSocket: %.200q", c.data), err, c.close())
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, 100) // then looks again
	}
	at := bytes.Index(c.data, []byte(endpoint.Ready)) + len(endpoint.Ready)
	c.used = at
	return c, nil
}

func (c *assertConn) close() error { return unix.Close(c.fd) }

func (c *assertConn) descriptor() int { return c.fd }

// send sends a frame. The empty socket has room for it.
func (c *assertConn) send(frame []byte) error {
	n, err := unix.Write(c.fd, frame)
	if err == nil && n < len(frame) {
		err = errors.New("the socket is full")
	}
	return err
}

// fill reads available data.
func (c *assertConn) fill() error {
	c.data = c.data[:copy(c.data, c.data[c.used:])]
	c.used = 0
	for {
		if len(c.data) == cap(c.data) {
			return fmt.Errorf("a frame of more than %d bytes", cap(c.data))
		}
		n, err := unix.Read(c.fd, c.data[len(c.data):cap(c.data)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return errors.New("the server closed the connection")
		}
		c.data = c.data[:len(c.data)+n]
		return nil
	}
}

// read reads available data. It returns the answer, valid until the next read, or nil if it
// is not there yet. It skips changes. An answer with an error is an error.
func (c *assertConn) read() ([]byte, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	for {
		payload, size, err := textFrame(c.data[c.used:])
		if err != nil || size == 0 {
			return nil, err
		}
		c.used += size
		if !bytes.HasPrefix(payload, []byte(answerHead)) {
			continue
		}
		if bytes.Contains(payload, []byte(`"error":`)) {
			return nil, fmt.Errorf("%s", payload)
		}
		return payload, nil
	}
}

// await waits for the answer.
func (c *assertConn) await(within time.Duration) ([]byte, error) {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		if answer, err := c.read(); answer != nil || err != nil {
			return answer, err
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, 100) // then looks again
	}
	return nil, fmt.Errorf("no answer within %v", within)
}

// textFrame returns the payload of the unmasked text frame at the beginning of data, and
// the size of the frame: 0 if it is incomplete.
func textFrame(data []byte) (payload []byte, size int, err error) {
	if len(data) < 4 {
		return nil, 0, nil
	}
	if data[0] != 0x81 {
		return nil, 0, fmt.Errorf("not a text frame: %x", data[:2])
	}
	length, at := int(data[1]), 2
	if length == 126 {
		length, at = int(binary.BigEndian.Uint16(data[2:])), 4
	}
	if length > maxFrame {
		return nil, 0, fmt.Errorf("a frame of %d bytes", length)
	}
	if len(data) < at+length {
		return nil, 0, nil
	}
	return data[at : at+length], at + length, nil
}
