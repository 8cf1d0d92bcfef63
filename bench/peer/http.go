package peer

import (
	"fmt"
	"strconv"

	"github.com/tallycast/tallycast/bench/load"
)

// bothTransports are SSE and WebSocket.
var bothTransports = []load.Transport{load.SSE, load.WebSocket}

// live is the event after the snapshot, of tallycast and of the peers in this bench.
const live = `{"event":"live"}`

// postLike appends a request for a like of visitor n, for tallycast and the peers in this
// bench.
func postLike(dst []byte, topic string, n int64) []byte {
	return appendPost(dst, "/v1/"+topic, func(body []byte) []byte {
		body = append(body, `{"visitor":"bench-visitor-`...)
		body = appendPadded(body, n)
		return append(body, `","amount":1}`...)
	})
}

// postChoice is postLike for a metric with five options.
func postChoice(dst []byte, topic string, n int64) []byte {
	return appendPost(dst, "/v1/"+topic, func(body []byte) []byte {
		body = append(body, `{"visitor":"bench-visitor-`...)
		body = appendPadded(body, n)
		body = append(body, `","option":`...)
		return append(strconv.AppendInt(body, 1+n%5, 10), '}')
	})
}

// Assertion appends a frame with an assertion of visitor n, for tallycast. Its mask is
// zero, which the protocol permits.
func Assertion(dst []byte, topic string, n int64) []byte {
	dst = append(dst, 0x81, 0x80, 0, 0, 0, 0)
	begin := len(dst)
	dst = append(dst, `{"assert":"`...)
	dst = append(dst, topic...)
	dst = append(dst, `","visitor":"bench-visitor-`...)
	dst = appendPadded(dst, n)
	dst = append(dst, `","amount":1,"id":`...)
	dst = append(strconv.AppendInt(dst, n, 10), '}')
	dst[begin-5] |= byte(len(dst) - begin) // below 126
	return dst
}

// appendPadded appends n with leading zeros, so that all requests have the same length.
func appendPadded(dst []byte, n int64) []byte {
	for limit := int64(1_000_000_000); limit > n && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendPost appends a POST whose body is what body appends: JSON of less than
// 1,000 bytes.
func appendPost(dst []byte, path string, body func([]byte) []byte) []byte {
	dst = append(dst, "POST "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "...)
	at := len(dst)
	dst = append(dst, "000\r\n\r\n"...)
	from := len(dst)
	dst = body(dst)
	copy(dst[at:at+3], fmt.Appendf(nil, "%03d", len(dst)-from))
	return dst
}
