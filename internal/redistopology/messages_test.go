package redistopology

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// pieces is a connection that returns one piece a read.
type pieces struct {
	net.Conn
	rest [][]byte
}

func (c *pieces) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[0])
	if c.rest[0] = c.rest[0][n:]; len(c.rest[0]) == 0 {
		c.rest = c.rest[1:]
	}
	return n, nil
}

// Messages are taken, and everything else arrives as it was sent, wherever the stream is cut.
func TestMessageConn_Pieces(t *testing.T) {
	message := func(kind, channel, payload string) string {
		return kind + "3\r\n$7\r\nmessage\r\n$" + strconv.Itoa(len(channel)) + "\r\n" + channel + "\r\n$" + strconv.Itoa(len(payload)) + "\r\n" + payload + "\r\n"
	}
	hello := "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n+proto\r\n:3\r\n"
	confirmation := ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	stream := hello + "+OK\r\n" + confirmation + message(">", "a", "1\r\n2") + message("*", "a", "") + message(">", "refused", "x") +
		"*-1\r\n$-1\r\n_\r\n*2\r\n*1\r\n#t\r\n,1.5\r\n-ERR no\r\n" + message(">", "a", strings.Repeat("long", minBuffer)) + ">2\r\n$4\r\npong\r\n$0\r\n\r\n"
	want := hello + "+OK\r\n" + confirmation + message(">", "refused", "x") + "*-1\r\n$-1\r\n_\r\n*2\r\n*1\r\n#t\r\n,1.5\r\n-ERR no\r\n" + ">2\r\n$4\r\npong\r\n$0\r\n\r\n"
	for _, length := range []int{1, 2, 3, 7, 100, len(stream)} {
		var taken []string
		c := &messageConn{take: func(channel, payload []byte) bool {
			taken = append(taken, string(channel)+"="+string(payload))
			return string(channel) == "a"
		}}
		var cut [][]byte
		for rest := []byte(stream); len(rest) > 0; rest = rest[min(length, len(rest)):] {
			cut = append(cut, rest[:min(length, len(rest))])
		}
		c.Conn = &pieces{rest: cut}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != want {
			t.Errorf("pieces of %d bytes: %q, %v, want %q", length, got, err, want)
		}
		if len(taken) != 4 || taken[0] != "a=1\r\n2" || taken[1] != "a=" || taken[2] != "refused=x" || len(taken[3]) != 4*minBuffer+2 {
			t.Errorf("pieces of %d bytes: took %.200q", length, taken)
		}
	}
}

// Data that is not a reply arrives as it was sent: go-redis reports it.
func TestMessageConn_NoReply(t *testing.T) {
	for _, stream := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n", "$x\r\n", "*x\r\n", ">2\r\n+a\r\n?\r\n", "+cut", "$?\r\n", "$9223372036854775807\r\n", "*9223372036854775807\r\n+a\r\n"} {
		c := &messageConn{Conn: &pieces{rest: [][]byte{[]byte(stream)}}, take: func([]byte, []byte) bool { return true }}
		got, _ := io.ReadAll(c)
		if want := strings.TrimPrefix(stream, "+cut"); !bytes.Equal(got, []byte(want)) { // an incomplete reply is nothing
			t.Errorf("%q arrives as %q", stream, got)
		}
	}
}
