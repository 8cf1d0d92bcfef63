package push

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	// maxMessage bounds a client's message, in bytes.
	maxMessage = 64 << 10
	// maxControl bounds the payload of a control frame (RFC 6455, section 5.5), in bytes.
	maxControl = 125
	// maxHeader bounds the header of a frame, in bytes.
	maxHeader = 14
)

// Opcodes (RFC 6455, section 11.8).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// violation is a broken rule: the code and the reason of the close frame.
type violation struct {
	code   uint16
	reason string
}

// protocolError returns a violation of the protocol.
func protocolError(reason string) *violation { return &violation{closeProtocol, reason} }

// inbound decodes the frames that a client sends on a WebSocket, which may arrive in pieces.
// It has a buffer only for an incomplete frame or message. It is not safe for concurrent use.
type inbound struct {
	partial   []byte // an incomplete frame
	message   []byte // the fragments of an incomplete message
	inMessage bool   // a fragmented message is incomplete
}

// receiver handles complete messages and control frames. It must not keep payloads. A
// violation that it returns ends the decoding.
type receiver interface {
	text(message []byte) *violation
	ping(payload []byte) *violation
	pong() *violation
	close(payload []byte)
}

// isComplete reports whether no frame and no message is incomplete.
func (in *inbound) isComplete() bool { return in.partial == nil && !in.inMessage }

// feed decodes the next bytes, in place, and passes the messages and control frames that they
// complete to the receiver. It must not be called after a violation or a close frame.
func (in *inbound) feed(data []byte, to receiver) *violation {
	if len(in.partial) > 0 {
		in.partial = append(in.partial, data...)
		data = in.partial
	}
	for len(data) > 0 {
		f, size, v := parseFrame(data)
		if v == nil && size > 0 {
			v = in.handle(f, to)
		}
		if v != nil || f.opcode == opClose && size > 0 {
			in.partial, in.message, in.inMessage = nil, nil, false
			return v
		}
		if size == 0 {
			break
		}
		data = data[size:]
	}
	if len(data) == 0 {
		in.partial = nil
	} else if len(in.partial) == 0 || &data[0] != &in.partial[0] {
		in.partial = append([]byte(nil), data...)
	}
	return nil
}

// frame is one frame of a client, unmasked.
type frame struct {
	final   bool
	opcode  byte
	payload []byte
}

func (f frame) isControl() bool { return f.opcode >= opClose }

// parseFrame reads the frame at the beginning of data and unmasks it in place. size is 0
// if the frame is incomplete.
func parseFrame(data []byte) (f frame, size int, v *violation) {
	if len(data) < 2 {
		return frame{}, 0, nil
	}
	f.final, f.opcode = data[0]&0x80 != 0, data[0]&0x0f
	masked, length := data[1]&0x80 != 0, uint64(data[1]&0x7f)
	switch {
	case data[0]&0x70 != 0:
		return f, 0, protocolError("a reserved bit is set")
	case f.opcode > opBinary && f.opcode < opClose || f.opcode > opPong:
		return f, 0, protocolError("there is no such opcode")
	case !masked:
		return f, 0, protocolError("a client masks its frames")
	case f.isControl() && (!f.final || length > maxControl):
		return f, 0, protocolError("a control frame is short and not fragmented")
	}
	at := 2
	switch length {
	case 126:
		if at += 2; len(data) < at {
			return f, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if at += 8; len(data) < at {
			return f, 0, nil
		}
		length = binary.BigEndian.Uint64(data[2:])
	}
	if length > maxMessage {
		return f, 0, &violation{closeTooLarge, "the message is too large"}
	}
	end := at + 4 + int(length)
	if len(data) < end {
		return f, 0, nil
	}
	mask := [4]byte(data[at:])
	f.payload = data[at+4 : end]
	for i := range f.payload {
		f.payload[i] ^= mask[i&3]
	}
	return f, end, nil
}

// handle passes a frame to the receiver, or adds it to an incomplete message.
func (in *inbound) handle(f frame, to receiver) *violation {
	switch f.opcode {
	case opPing:
		return to.ping(f.payload)
	case opPong:
		return to.pong()
	case opClose:
		return in.handleClose(f.payload, to)
	case opBinary:
		return &violation{closePolicy, "messages are text"}
	case opText:
		if in.inMessage {
			return protocolError("the previous message is not complete")
		}
	case opContinuation:
		if !in.inMessage {
			return protocolError("no message is incomplete")
		}
	}
	if len(in.message)+len(f.payload) > maxMessage {
		return &violation{closeTooLarge, "the message is too large"}
	}
	if !f.final {
		in.message, in.inMessage = append(in.message, f.payload...), true
		return nil
	}
	message := f.payload
	if in.inMessage {
		message = append(in.message, f.payload...)
		in.message, in.inMessage = nil, false
	}
	if !utf8.Valid(message) {
		return &violation{closePolicy, "messages are UTF-8"}
	}
	return to.text(message)
}

// handleClose checks a close frame (RFC 6455, section 7.4) and passes it on.
func (in *inbound) handleClose(payload []byte, to receiver) *violation {
	if len(payload) == 1 || len(payload) > 2 && !utf8.Valid(payload[2:]) {
		return protocolError("a close frame has a code and a reason in UTF-8")
	}
	if len(payload) >= 2 {
		switch code := binary.BigEndian.Uint16(payload); {
		case code < 1000, code >= 1004 && code <= 1006, code >= 1015 && code < 3000, code >= 5000:
			return protocolError("there is no such close code")
		}
	}
	to.close(payload)
	return nil
}
