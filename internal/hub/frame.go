package hub

import (
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Events that a viewer is sent beside changes, whatever its transport. None but
// full asks it to reconnect; hearing nothing at all for 60 s does.
const (
	// frameLive says that the snapshot is complete and numbers are current.
	frameLive = `{"event":"live"}`
	// frameStale says that the store is away and numbers may be old, until live.
	frameStale = `{"event":"stale"}`
	// frameBeat says that the connection lives though nothing changed.
	frameBeat = `{"event":"beat"}`
	// FrameFull says that the instance takes no more viewers. The stream ends after
	// it; the browser comes back after the time that retry gave.
	FrameFull = `{"event":"full"}`
)

// AppendRefusal appends the frame that stands for a topic that is refused. Where
// topic is empty the frame answers a message as a whole:
//
//	{"topic":"…","error":{"code":"unknown_site","message":"…"}}
func AppendRefusal(dst []byte, topic string, err error) []byte {
	e := tally.AsError(err)
	dst = append(dst, '{')
	if topic != "" {
		dst = append(dst, `"topic":`...)
		dst = tally.AppendJSONString(dst, strings.ToValidUTF8(topic, "\uFFFD"))
		dst = append(dst, ',')
	}
	dst = append(dst, `"error":{"code":`...)
	dst = tally.AppendJSONString(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	dst = tally.AppendJSONString(dst, e.Message)
	return append(dst, "}}"...)
}
