package push

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/hub"
)

// Formats of the transports, indexes in the result of [Formats].
const (
	eventStream hub.Format = iota
	webSocket
)

// Formats returns the encodings for [hub.Options].
func Formats() []hub.Encoder {
	return []hub.Encoder{eventStream: appendEvent, webSocket: appendText}
}

// appendEvent appends json as one event of a text/event-stream (WHATWG HTML,
// section 9.2). A frame has no line break, so that one data line holds it.
func appendEvent(dst, json []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, json...)
	return append(dst, "\n\n"...)
}

// appendRetry appends the time after which a browser reconnects.
func appendRetry(dst []byte, wait time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, wait.Milliseconds(), 10)
	return append(dst, "\n\n"...)
}

// First bytes of unmasked, unfragmented frames (RFC 6455, section 5.2).
const (
	finalText  = 0x81
	finalClose = 0x88
	finalPong  = 0x8A
)

// appendText appends json as one text message of a WebSocket.
func appendText(dst, json []byte) []byte {
	return append(appendTextHeader(dst, len(json)), json...)
}

// appendTextHeader appends the header of a text message of n bytes.
func appendTextHeader(dst []byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, finalText, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, finalText, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, finalText, 127), uint64(n))
}

// Close codes (RFC 6455, section 7.4, and its registry).
const (
	closeDraining = 1001 // the instance ends; the client reconnects
	closeProtocol = 1002 // the client broke the protocol
	closePolicy   = 1008 // the client was hostile; it does not reconnect
	closeTooLarge = 1009 // the client's message is too large
	closeTryLater = 1013 // the instance is full; the client reconnects later
)

// appendClose appends a close frame. A reason has at most 123 bytes.
func appendClose(dst []byte, code uint16, reason string) []byte {
	dst = append(dst, finalClose, byte(2+len(reason)))
	dst = binary.BigEndian.AppendUint16(dst, code)
	return append(dst, reason...)
}
