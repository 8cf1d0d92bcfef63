package hub

import (
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Events are the other frames beside changes, the same on all transports. A client that
// receives nothing for 60 s reconnects.
const (
	// frameLive means that the snapshot is complete and numbers are current.
	frameLive = `{"event":"live"}`
	// frameStale means that the store is away and numbers may be old until live.
	frameStale = `{"event":"stale"}`
	// frameBeat keeps a connection open on which nothing changes.
	frameBeat = `{"event":"beat"}`
	// FrameFull means that the instance accepts no more viewers. The stream ends after
	// it; the browser reconnects after the time that retry gave.
	FrameFull = `{"event":"full"}`
)

// AppendRefusal appends the frame for a topic that is refused. The frame for a message that
// is refused as a whole has no topic:
//
//	{"topic":"…","error":{"code":"unknown_site","message":"…"}}
func AppendRefusal(dst []byte, topic string, err error) []byte {
	dst = append(dst, '{')
	if topic != "" {
		dst = append(dst, `"topic":`...)
		dst = tally.AppendJSONString(dst, strings.ToValidUTF8(topic, "\uFFFD"))
		dst = append(dst, ',')
	}
	return append(AppendError(append(dst, `"error":`...), err), '}')
}

// AppendError appends err as an object with the members code and message.
func AppendError(dst []byte, err error) []byte {
	e := tally.AsError(err)
	dst = append(dst, `{"code":`...)
	dst = tally.AppendJSONString(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = tally.AppendJSONString(dst, strings.ToValidUTF8(e.Message, "\uFFFD"))
	return append(dst, '}')
}
