package tally

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Change is the public state of a topic, as it is published, pushed and answered. Count is
// never below 0. Version only grows and follows the store's clock in microseconds since the
// Unix epoch. Both are 0 for a topic that does not exist.
type Change struct {
	Topic   Topic
	Count   int64   // of a choice metric the sum of Options
	Options Options // of a choice metric the count of each option; else empty
	Version int64
}

// NextVersion returns the version that follows previous at now, in microseconds of the
// store's clock. Since it follows the clock, a store that lost its newest writes still
// issues versions above those that viewers saw.
func NextVersion(previous, now int64) int64 { return max(previous+1, now) }

// A frame is a Change as one JSON object, the same bytes in Redis, in SSE, in
// WebSocket messages and in HTTP answers:
//
//	{"topic":"blog/likes/hello","count":43,"version":1790000000000001}
//	{"topic":"blog/votes/hello","count":4,"options":[3,1],"version":1790000000000002}
const (
	frameTopic      = `{"topic":`
	frameCount      = `,"count":`
	frameOptions    = `,"options":[`
	frameOptionsEnd = `]`
	frameVersion    = `,"version":`
)

// AppendFrame appends the frame of c to dst.
func AppendFrame(dst []byte, c Change) []byte {
	dst = AppendFrameHead(dst, c.Topic)
	dst = strconv.AppendInt(dst, c.Count, 10)
	if c.Options != "" {
		dst = append(dst, frameOptions...)
		dst = append(dst, c.Options...)
		dst = append(dst, frameOptionsEnd...)
	}
	dst = append(dst, frameVersion...)
	dst = strconv.AppendInt(dst, c.Version, 10)
	return append(dst, '}')
}

// AppendFrameHead appends the part of a topic's frames before the count, for a store
// that appends the rest itself.
func AppendFrameHead(dst []byte, topic Topic) []byte {
	dst = append(dst, frameTopic...)
	dst = AppendJSONString(dst, topic.String())
	return append(dst, frameCount...)
}

// ParseFrame parses a frame of topic, as [AppendFrame] formats it.
func ParseFrame(topic Topic, frame []byte) (Change, error) {
	numbers, ok := bytes.CutSuffix(frame, []byte("}"))
	at := bytes.LastIndex(numbers, []byte(frameVersion))
	if !ok || at < 0 {
		return Change{}, fmt.Errorf("not a frame: %q", frame)
	}
	version, err := strconv.ParseInt(string(numbers[at+len(frameVersion):]), 10, 64)
	if err != nil {
		return Change{}, fmt.Errorf("version of frame %q: %w", frame, err)
	}
	head := numbers[:at]
	at = bytes.LastIndex(head, []byte(frameCount))
	if at < 0 {
		return Change{}, fmt.Errorf("not a frame: %q", frame)
	}
	number, list, hasOptions := bytes.Cut(head[at+len(frameCount):], []byte(frameOptions))
	count, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return Change{}, fmt.Errorf("count of frame %q: %w", frame, err)
	}
	var options Options
	if hasOptions {
		list, ok = bytes.CutSuffix(list, []byte(frameOptionsEnd))
		if options, err = ParseOptions(string(list)); err != nil || !ok || options.Sum() != count {
			return Change{}, fmt.Errorf("the options of frame %q do not add up to its count", frame)
		}
	}
	if !bytes.Equal(head[:at+len(frameCount)], AppendFrameHead(make([]byte, 0, 320), topic)) {
		return Change{}, fmt.Errorf("frame %q is not of %s", frame, topic)
	}
	return Change{Topic: topic, Count: count, Options: options, Version: version}, nil
}

// NewEncoder returns an encoder of JSON that does not escape characters for HTML, so that keys look as in frames.
func NewEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder
}

// AppendJSONString appends s, which is UTF-8, as a JSON string (RFC 8259, section 7).
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
