package load

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// TopicPrefix begins the name of each topic of the bench; its number follows.
const TopicPrefix = "default/likes/b"

// Topic returns the name of topic number n.
func Topic(n int) string { return fmt.Sprintf("%s%d", TopicPrefix, n) }

// Transport is how a viewer is sent its frames.
type Transport string

// The transports.
const (
	SSE       Transport = "sse"
	WebSocket Transport = "ws"
)

// Door is how a viewer enters a server. It is plain data, so that it can be
// handed to another process.
type Door struct {
	// Address is host:port.
	Address string
	// Path is what that is asked for; {topics} in it stands for
	// TopicParam of each topic, joined by &.
	Path       string
	TopicParam string // {topic} stands for the name
	Transport  Transport
	// Greeting is sent as one WebSocket text message once the head of the answer
	// is there; empty for none.
	Greeting string
	// Ready is what the server says when it will miss no change for the viewer any
	// more. Empty where the head of the answer says so.
	Ready string
}

// request returns the bytes with which a viewer of topics asks to enter.
func (d *Door) request(topics []int) []byte {
	params := make([]string, len(topics))
	for i, n := range topics {
		params[i] = strings.ReplaceAll(d.TopicParam, "{topic}", Topic(n))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", strings.ReplaceAll(d.Path, "{topics}", strings.Join(params, "&")), d.Address)
	switch d.Transport {
	case WebSocket:
		// RFC 6455, section 4.1; the key of a client that does not check the answer's
		// may be the same each time.
		key := base64.StdEncoding.EncodeToString([]byte("bench-viewer-key"))
		fmt.Fprintf(&b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", key)
	default:
		b.WriteString("Accept: text/event-stream\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// status returns the status with which the server lets a viewer in.
func (d *Door) status() string {
	if d.Transport == WebSocket {
		return "101"
	}
	return "200"
}

// greeting returns the greeting as a masked text frame (RFC 6455, section 5.2).
// The mask is zero, which the protocol does not forbid and which changes nothing.
// A greeting has at most 125 bytes.
func (d *Door) greeting() []byte {
	if d.Greeting == "" {
		return nil
	}
	return append([]byte{0x81, 0x80 | byte(len(d.Greeting)), 0, 0, 0, 0}, d.Greeting...)
}
