package load

import "bytes"

// A frame as every server of the bench sends it, whatever stands around it:
//
//	{"topic":"default/likes/b7","count":43,"version":1790000000000001}
const (
	frameHead    = `{"topic":"` + TopicPrefix
	frameCount   = `","count":`
	frameVersion = `,"version":`
)

// frame is what a frame says.
type frame struct {
	topic   int
	count   int64
	version int64
}

// outcome is what became of looking for a frame.
type outcome int

const (
	found     outcome = iota // a whole frame
	cut                      // the beginning of one
	malformed                // something that begins like one and is none
	none                     // nothing
)

// nextFrame finds the first frame in data. It returns where what it found begins
// and, for found and malformed, where to look next.
func nextFrame(data []byte) (f frame, from, to int, what outcome) {
	from = bytes.Index(data, []byte(frameHead))
	if from < 0 {
		return f, cutHead(data), 0, none
	}
	at := from + len(frameHead)
	for _, field := range []struct {
		into  *int64
		after string
	}{{nil, frameCount}, {&f.count, frameVersion}, {&f.version, "}"}} {
		n, digits := int64(0), 0
		for ; at < len(data) && data[at] >= '0' && data[at] <= '9'; at++ {
			n = n*10 + int64(data[at]-'0')
			digits++
		}
		rest := data[at:]
		if len(rest) < len(field.after) && bytes.HasPrefix([]byte(field.after), rest) {
			return f, from, at, cut
		}
		if digits == 0 || !bytes.HasPrefix(rest, []byte(field.after)) {
			return f, from, at, malformed
		}
		at += len(field.after)
		if field.into == nil {
			f.topic = int(n)
		} else {
			*field.into = n
		}
	}
	return f, from, at, found
}

// cutHead returns where the beginning of a frame's head stands at the end of data,
// len(data) if it does not.
func cutHead(data []byte) int {
	at := bytes.LastIndexByte(data[max(0, len(data)-len(frameHead)):], '{')
	if at < 0 {
		return len(data)
	}
	at += max(0, len(data)-len(frameHead))
	if bytes.HasPrefix([]byte(frameHead), data[at:]) {
		return at
	}
	return len(data)
}
