package push

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	// maxMessage is the greatest size of a client's message, in bytes.
	maxMessage = 64 << 10
	// maxControl is the greatest size of a control frame's payload (RFC 6455,
	// section 5.5), in bytes.
	maxControl = 125
	// maxHeader is the greatest size of a frame's header, in bytes.
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

// violation is why a client is closed: the code and the reason that it is told.
type violation struct {
	code   uint16
	reason string
}

// protocol returns the violation of a client that does not speak the protocol.
func protocol(reason string) *violation { return &violation{closeProtocol, reason} }

// inbound puts together what a client sends on a WebSocket from the pieces in
// which it arrives. It keeps nothing while nothing is incomplete. It is not safe
// for concurrent use.
type inbound struct {
	partial []byte // an incomplete frame
	message []byte // the fragments so far of a message
	open    bool   // a fragmented message is under way
}

// receiver is told what is complete. Payloads are its own only until it returns;
// a violation that it returns ends the feeding.
type receiver interface {
	text(message []byte) *violation
	ping(payload []byte) *violation
	pong() *violation
	close(payload []byte)
}

// complete tells whether nothing is left that waits for more.
func (in *inbound) complete() bool { return in.partial == nil && !in.open }

// feed takes the next bytes, which it alters, and tells to what they complete.
// After a violation, or a close, nothing more may be fed.
func (in *inbound) feed(data []byte, to receiver) *violation {
	if len(in.partial) > 0 {
		in.partial = append(in.partial, data...)
		data = in.partial
	}
	for len(data) > 0 {
		f, size, wrong := parseFrame(data)
		if wrong == nil && size > 0 {
			wrong = in.obey(f, to)
		}
		if wrong != nil || f.opcode == opClose && size > 0 {
			in.partial, in.message, in.open = nil, nil, false
			return wrong
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

// parseFrame reads the frame at the beginning of data and unmasks it in place
// once it is there in whole; size is 0 until then.
func parseFrame(data []byte) (f frame, size int, wrong *violation) {
	if len(data) < 2 {
		return frame{}, 0, nil
	}
	f.final, f.opcode = data[0]&0x80 != 0, data[0]&0x0f
	masked, length := data[1]&0x80 != 0, uint64(data[1]&0x7f)
	switch {
	case data[0]&0x70 != 0:
		return f, 0, protocol("a reserved bit is set")
	case f.opcode > opBinary && f.opcode < opClose || f.opcode > opPong:
		return f, 0, protocol("there is no such opcode")
	case !masked:
		return f, 0, protocol("a client masks its frames")
	case f.isControl() && (!f.final || length > maxControl):
		return f, 0, protocol("control frames are short and whole")
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

// obey puts a frame where it belongs.
func (in *inbound) obey(f frame, to receiver) *violation {
	switch f.opcode {
	case opPing:
		return to.ping(f.payload)
	case opPong:
		return to.pong()
	case opClose:
		return in.end(f.payload, to)
	case opBinary:
		return &violation{closePolicy, "messages are text"}
	case opText:
		if in.open {
			return protocol("the message before is not complete")
		}
	case opContinuation:
		if !in.open {
			return protocol("there is nothing to continue")
		}
	}
	if len(in.message)+len(f.payload) > maxMessage {
		return &violation{closeTooLarge, "the message is too large"}
	}
	if !f.final {
		in.message, in.open = append(in.message, f.payload...), true
		return nil
	}
	message := f.payload
	if in.open {
		message = append(in.message, f.payload...)
		in.message, in.open = nil, false
	}
	if !utf8.Valid(message) {
		return &violation{closePolicy, "messages are UTF-8"}
	}
	return to.text(message)
}

// end checks a close frame (RFC 6455, section 7.4) and hands it on.
func (in *inbound) end(payload []byte, to receiver) *violation {
	if len(payload) == 1 || len(payload) > 2 && !utf8.Valid(payload[2:]) {
		return protocol("a close frame has a code and a reason in UTF-8")
	}
	if len(payload) >= 2 {
		switch code := binary.BigEndian.Uint16(payload); {
		case code < 1000, code >= 1004 && code <= 1006, code >= 1015 && code < 3000, code >= 5000:
			return protocol("there is no such close code")
		}
	}
	to.close(payload)
	return nil
}
