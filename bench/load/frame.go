package load

import "bytes"

// A frame as every server of the bench sends it, within its own framing:
//
//	{"topic":"default/likes/b7","count":43,"version":1790000000000001}
//	{"topic":"default/likes/b7","count":43,"options":[40,3],"version":1790000000000001}
const (
	frameHead    = `{"topic":"` + TopicPrefix
	frameCount   = `","count":`
	frameOptions = `,"options":[`
	frameVersion = `,"version":`
)

// frame is a parsed frame.
type frame struct {
	topic   int
	count   int64
	version int64
}

// outcome is the result of searching for a frame.
type outcome int

const (
	found     outcome = iota // a whole frame
	cut                      // the beginning of a frame
	malformed                // begins like a frame but is not one
	none                     // nothing
)

// nextFrame finds the first frame in data. It returns where the frame begins and, for
// found and malformed, where to continue.
func nextFrame(data []byte) (f frame, from, to int, what outcome) {
	from = bytes.Index(data, []byte(frameHead))
	if from < 0 {
		return f, cutHead(data, frameHead), 0, none
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
		if field.into == &f.count {
			if bytes.HasPrefix([]byte(frameOptions), data[at:]) {
				return f, from, at, cut
			}
			if list, ok := bytes.CutPrefix(data[at:], []byte(frameOptions)); ok {
				end := bytes.IndexByte(list, ']')
				if end < 0 {
					return f, from, at, cut
				}
				at += len(frameOptions) + end + 1
			}
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

// cutHead returns the index of a partial head at the end of data, or len(data).
func cutHead(data []byte, head string) int {
	at := bytes.LastIndexByte(data[max(0, len(data)-len(head)):], '{')
	if at < 0 {
		return len(data)
	}
	at += max(0, len(data)-len(head))
	if bytes.HasPrefix([]byte(head), data[at:]) {
		return at
	}
	return len(data)
}
