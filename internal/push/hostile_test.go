package push_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/push"
)

func TestWebSocket_InputAfterClose(t *testing.T) {
	i := start(t, push.Options{})
	c := i.dial(fmt.Sprintf(handshake, ""))
	_, _ = io.WriteString(c, masked(0x01, `{"unsub`)+strings.Repeat(masked(0x89, ""), 150))
	all, err := io.ReadAll(c) // until the server closes
	if err != nil || !strings.Contains(string(all), "too many pings") {
		t.Fatalf("received %q, %v", all, err)
	}
	_, _ = io.WriteString(c, masked(0x80, `scribe":[]}`)+masked(0x81, `{"present":["default/readers/ghost"]}`))
	i.eventually("the server closes the connection", func() bool {
		_, err := io.WriteString(c, masked(0x81, `{"unsubscribe":[]}`))
		return err != nil
	})
	if n := i.presence.Load(); n != 0 {
		t.Errorf("%d pages are present with no connection", n)
	}
}

func TestWebSocket_MessageTimeout(t *testing.T) {
	i := start(t, push.Options{MessageTimeout: 100 * time.Millisecond})
	c := i.dial(fmt.Sprintf(handshake, ""))
	_, _ = io.WriteString(c, masked(0x81, `{"subscribe":[]}`)[:9])
	all, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(all), "takes too long") {
		t.Fatalf("received %q, %v", all, err)
	}
}

func TestWebSocket_RefusalsAreUTF8(t *testing.T) {
	i := start(t, push.Options{})
	c := i.dial(fmt.Sprintf(handshake, "topic=default/likes/good&topic=default/likes/%FF"))
	var all []byte
	buffer := make([]byte, 4096)
	for !strings.Contains(string(all), `"live"`) {
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		all = append(all, buffer[:n]...)
	}
	_, frames, _ := strings.Cut(string(all), "\r\n\r\n")
	for len(frames) > 0 {
		n, at := int(frames[1]), 2
		if n == 126 {
			n, at = int(frames[2])<<8+int(frames[3]), 4
		}
		if payload := frames[at : at+n]; !utf8.ValidString(payload) {
			t.Errorf("a text message is not UTF-8: %q", payload)
		}
		frames = frames[at+n:]
	}
}

func TestServer_EndsWhileClientsLeave(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			i := start(t, push.Options{})
			var conns []*net.TCPConn
			for range 200 {
				conns = append(conns, i.dial("GET /?topic=default/likes/a&present=default/readers/a HTTP/1.1\r\nHost: x\r\n\r\n"))
				conns = append(conns, i.dial(fmt.Sprintf(handshake, "topic=default/likes/a&present=default/readers/a")))
			}
			for _, c := range conns {
				if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			left := make(chan struct{})
			go func() { // ends when all are closed
				for n, c := range conns {
					if n%3 == 0 {
						_ = c.SetLinger(0) // reset
					}
					_ = c.Close()
				}
				close(left)
			}()
			time.Sleep(time.Duration(round) * 300 * time.Microsecond)
			i.stop() // waits; would hang in a deadlock
			<-left
		})
	}
}

// The end of the input is seen whether it comes with the last message or after it.
func TestWebSocket_EndAfterMessage(t *testing.T) {
	i := start(t, push.Options{})
	for n := range 200 {
		c := i.dial(fmt.Sprintf(handshake, ""))
		if n%2 == 0 { // after the reader waits
			if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.WriteString(c, masked(0x81, `{"present":["default/readers/a"]}`))
		_ = c.CloseWrite()
	}
	i.eventually("all have left", func() bool { return i.viewers() == 0 && i.presence.Load() == 0 })
}

func TestWebSocket_FloodDelaysNobody(t *testing.T) {
	i := start(t, push.Options{})
	flood := strings.Repeat(masked(0x8A, ""), 20_000)
	done := make(chan struct{})
	for range 4 {
		c := i.dial(fmt.Sprintf(handshake, ""))
		go func() { // ends when the server closes c
			for {
				if _, err := io.WriteString(c, flood); err != nil {
					done <- struct{}{}
					return
				}
			}
		}()
	}
	neighbour, ws := i.socket("")
	sendText(t, ws, `{"subscribe":["default/likes/a"]}`)
	neighbour.expect("default/likes/a=0", "live")
	for range 4 {
		<-done
	}
}
