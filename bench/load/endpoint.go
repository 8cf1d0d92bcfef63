package load

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// TopicPrefix is the name of each topic of the bench without its number.
const TopicPrefix = "default/likes/b"

// Topic returns the name of topic number n.
func Topic(n int) string { return fmt.Sprintf("%s%d", TopicPrefix, n) }

// Transport is a transport for frames.
type Transport string

// The transports.
const (
	SSE       Transport = "sse"
	WebSocket Transport = "ws"
)

// Endpoint describes how a viewer connects to a server. It can be sent to another process.
type Endpoint struct {
	// Address is host:port.
	Address string
	// Path is the path of the request. {topics} is replaced by TopicParam of each topic,
	// joined by &.
	Path       string
	TopicParam string // {topic} is replaced by the name
	Transport  Transport
	// FirstMessage is sent as a WebSocket text message after the head of the answer; empty
	// for none.
	FirstMessage string
	// Ready is the text that the server sends when the viewer will receive every change.
	// Empty if this is the head of the answer.
	Ready string
}

// request returns the request of a viewer of topics.
func (e *Endpoint) request(topics []int) []byte {
	params := make([]string, len(topics))
	for i, n := range topics {
		params[i] = strings.ReplaceAll(e.TopicParam, "{topic}", Topic(n))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", strings.ReplaceAll(e.Path, "{topics}", strings.Join(params, "&")), e.Address)
	switch e.Transport {
	case WebSocket:
		// RFC 6455, section 4.1. A constant key is enough: the client does not check it.
		key := base64.StdEncoding.EncodeToString([]byte("bench-viewer-key"))
		fmt.Fprintf(&b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", key)
	default:
		b.WriteString("Accept: text/event-stream\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// status returns the expected status of the answer.
func (e *Endpoint) status() string {
	if e.Transport == WebSocket {
		return "101"
	}
	return "200"
}

// firstMessage returns FirstMessage, of at most 125 bytes, as a text frame (RFC 6455,
// section 5.2). Its mask is zero, which the protocol permits.
func (e *Endpoint) firstMessage() []byte {
	if e.FirstMessage == "" {
		return nil
	}
	return append([]byte{0x81, 0x80 | byte(len(e.FirstMessage)), 0, 0, 0, 0}, e.FirstMessage...)
}
