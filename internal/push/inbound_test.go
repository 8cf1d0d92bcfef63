package push

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

// record is a receiver that notes what it is told.
type record struct{ told []string }

func (r *record) text(message []byte) *violation {
	r.told = append(r.told, "text "+string(message))
	return nil
}

func (r *record) ping(payload []byte) *violation {
	r.told = append(r.told, "ping "+string(payload))
	return nil
}

func (r *record) pong() *violation {
	r.told = append(r.told, "pong")
	return nil
}

func (r *record) close(payload []byte) {
	r.told = append(r.told, fmt.Sprintf("close %x", payload))
}

// clientFrame encodes a frame as a client sends it: masked.
func clientFrame(first byte, payload string) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	mask := [4]byte{0xa1, 0x02, 0x73, 0xfe}
	frame = append(frame, mask[:]...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^mask[i&3])
	}
	return frame
}

func join(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

// feedAll feeds data in pieces of the size given and returns what came of it.
func feedAll(data []byte, piece int) string {
	var in inbound
	var r record
	for len(data) > 0 {
		n := min(piece, len(data))
		scratch := append([]byte(nil), data[:n]...) // feed alters it, and it is used again
		if wrong := in.feed(scratch, &r); wrong != nil {
			return strings.Join(append(r.told, fmt.Sprintf("violation %d", wrong.code)), "; ")
		}
		for i := range scratch {
			scratch[i] = 0xEE
		}
		data = data[n:]
		if len(r.told) > 0 && strings.HasPrefix(r.told[len(r.told)-1], "close") {
			break
		}
	}
	if !in.isComplete() {
		r.told = append(r.told, "incomplete")
	}
	return strings.Join(r.told, "; ")
}

func TestInbound_Pieces(t *testing.T) {
	long := strings.Repeat("long ", 200)
	huge := strings.Repeat("h", maxMessage)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"text", clientFrame(0x81, "hello"), "text hello"},
		{"empty text", clientFrame(0x81, ""), "text "},
		{"16-bit length", clientFrame(0x81, long), "text " + long},
		{"the largest message", clientFrame(0x81, huge), "text " + huge},
		{"two messages", join(clientFrame(0x81, "a"), clientFrame(0x81, "b")), "text a; text b"},
		{"fragments around a ping", join(clientFrame(0x01, "a"), clientFrame(0x89, "p"), clientFrame(0x00, "b"), clientFrame(0x80, "ü")), "ping p; text abü"},
		{"a character cut by fragments", join(clientFrame(0x01, "\xc3"), clientFrame(0x80, "\xbc")), "text ü"},
		{"pong", join(clientFrame(0x8A, "x"), clientFrame(0x81, "a")), "pong; text a"},
		{"close", join(clientFrame(0x88, "\x03\xe8bye"), clientFrame(0x81, "after")), "close 03e8627965"},
		{"close without a code", clientFrame(0x88, ""), "close "},
		{"incomplete frame", clientFrame(0x81, "hello")[:8], "incomplete"},
		{"incomplete message", clientFrame(0x01, "hello"), "incomplete"},
		{"unmasked", []byte{0x81, 0x01, 'a'}, "violation 1002"},
		{"reserved bit", clientFrame(0xC1, "a"), "violation 1002"},
		{"no such opcode", clientFrame(0x83, "a"), "violation 1002"},
		{"no such control opcode", clientFrame(0x8B, "a"), "violation 1002"},
		{"fragmented ping", clientFrame(0x09, "a"), "violation 1002"},
		{"long ping", clientFrame(0x89, strings.Repeat("p", 126)), "violation 1002"},
		{"nothing to continue", clientFrame(0x80, "a"), "violation 1002"},
		{"text within a message", join(clientFrame(0x01, "a"), clientFrame(0x81, "b")), "violation 1002"},
		{"close code that is not", clientFrame(0x88, "\x03\xed"), "violation 1002"},
		{"close of one byte", clientFrame(0x88, "\x03"), "violation 1002"},
		{"close reason not UTF-8", clientFrame(0x88, "\x03\xe8\xff"), "violation 1002"},
		{"binary", clientFrame(0x82, "a"), "violation 1008"},
		{"not UTF-8", clientFrame(0x81, "\xff"), "violation 1008"},
		{"too large", clientFrame(0x81, huge+"h"), "violation 1009"},
		{"too large in fragments", join(clientFrame(0x01, huge), clientFrame(0x80, "h")), "violation 1009"},
		{"absurdly large", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "violation 1009"},
	} {
		for _, piece := range []int{1, 2, 3, 7, 1000, 1 << 20} {
			if piece < 7 && len(c.data) > 5000 {
				continue // quadratic, and tells nothing new
			}
			if got := feedAll(c.data, piece); got != c.want {
				t.Errorf("%s in pieces of %d: %.80q, want %.80q", c.name, piece, got, c.want)
			}
		}
	}
}

// How the bytes are cut makes no difference.
func FuzzInbound(f *testing.F) {
	f.Add(clientFrame(0x81, `{"subscribe":["default/likes/a"]}`), 5)
	f.Add(join(clientFrame(0x01, "a"), clientFrame(0x89, "p"), clientFrame(0x80, "b")), 1)
	f.Add(clientFrame(0x88, "\x03\xe8bye"), 3)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		if piece < 1 || len(data) > 2000 {
			return
		}
		whole, cut := feedAll(data, len(data)+1), feedAll(data, piece)
		if whole != cut {
			t.Fatalf("whole: %q, in pieces of %d: %q", whole, piece, cut)
		}
	})
}

// A parsed message has one verb.
func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{`{"subscribe":["a"]}`, `{"unsubscribe":[]}`, `{"present":["a","b"]}`, `{"absent":null}`, `{"subscribe":["a"],"absent":[]}`, `[]`, `{"subscribe":[1]}`, `{"id":1,"assert":"a"}`, `{"assert":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if (err == nil) != (m.verb != "") || m.verb == verbAssert && m.topics != nil {
			t.Fatalf("%q became %+v, %v", data, m, err)
		}
	})
}

func TestMessageLimit(t *testing.T) {
	var budget time.Duration
	now, allowed := time.Hour, 0
	for messageLimit.Take(&budget, now, 1) == 0 {
		allowed++
	}
	if allowed != messageBurst {
		t.Errorf("%d messages at once, want %d", allowed, messageBurst)
	}
	allowed = 0
	for range 100 {
		if now += 10 * time.Millisecond; messageLimit.Take(&budget, now, 1) == 0 {
			allowed++
		}
	}
	if allowed != messageRate {
		t.Errorf("%d messages in a second, want %d", allowed, messageRate)
	}
}
