package redistopology

import (
	"bytes"
	"net"
	"strconv"
	"strings"
)

// messageConn is the connection of a subscription. It passes published messages to take. go-redis
// reads the messages that take refuses, and all other replies, in their order. go-redis needs a
// dozen allocations for a message. One goroutine reads.
type messageConn struct {
	net.Conn
	take func(channel, payload []byte) bool // must not keep its arguments

	received []byte // not passed on yet; its array is used again
	at       int    // index of the next byte in received
	refused  int    // how many bytes from there go-redis reads
	isBroken bool   // received is not a reply: go-redis reads it
}

// minBuffer is the size of the buffer, which grows if a reply is larger.
const minBuffer = 16 << 10

func (c *messageConn) Read(p []byte) (int, error) {
	for {
		rest := c.received[c.at:]
		if c.isBroken {
			c.refused = len(rest)
		}
		if c.refused > 0 {
			n := copy(p, rest[:c.refused])
			c.at += n
			c.refused -= n
			return n, nil
		}
		size, ok := replySize(rest)
		switch {
		case !ok:
			c.isBroken = true
			if len(rest) > 0 {
				continue
			}
		case size > 0:
			if channel, payload, ok := parseMessage(rest[:size]); ok && c.take(channel, payload) {
				c.at += size
			} else {
				c.refused = size
			}
			continue
		}
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
}

// receive reads more.
func (c *messageConn) receive() error {
	c.received = c.received[:copy(c.received, c.received[c.at:])]
	c.at = 0
	if len(c.received) == cap(c.received) {
		c.received = append(make([]byte, 0, max(2*len(c.received), minBuffer)), c.received...)
	}
	n, err := c.Conn.Read(c.received[len(c.received):cap(c.received)])
	c.received = c.received[:len(c.received)+n]
	if n > 0 {
		return nil
	}
	return err
}

var lineEnd = []byte("\r\n")

// replySize returns the size of the reply (RESP2 or RESP3) at the beginning of data, or 0 if it
// is incomplete. ok is false if data does not begin with a reply.
func replySize(data []byte) (size int, ok bool) {
	end := bytes.Index(data, lineEnd)
	if end < 1 {
		return 0, end < 0
	}
	size = end + len(lineEnd)
	if strings.IndexByte("+-:_#,(", data[0]) >= 0 {
		return size, true
	}
	n, err := strconv.ParseInt(string(data[1:end]), 10, 32) // Redis has no greater sizes
	if err != nil {
		return 0, false
	}
	switch data[0] {
	case '$', '=', '!':
		if n >= 0 {
			size += int(n) + len(lineEnd)
		}
		if size > len(data) {
			size = 0
		}
		return size, true
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return 0, false
	}
	for range n {
		part, ok := replySize(data[size:])
		if !ok || part == 0 {
			return 0, ok
		}
		size += part
	}
	return size, true
}

// messageHead begins a message, after * or >: a list of three texts, and the first of them.
var messageHead = []byte("3\r\n$7\r\nmessage\r\n")

// parseMessage returns the channel and the payload of a published message.
func parseMessage(reply []byte) (channel, payload []byte, ok bool) {
	rest, ok := bytes.CutPrefix(reply[1:], messageHead)
	if !ok {
		return nil, nil, false
	}
	size, _ := replySize(rest)
	return textOf(rest[:size]), textOf(rest[size:]), true
}

// textOf returns the text of a reply that is a bulk string.
func textOf(reply []byte) []byte {
	_, text, _ := bytes.Cut(reply, lineEnd)
	return bytes.TrimSuffix(text, lineEnd)
}
