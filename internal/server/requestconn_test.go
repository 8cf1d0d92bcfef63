package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// countingConn counts the deadlines of reads that reach a connection.
type countingConn struct {
	tcpConn
	set atomic.Int64
}

func (c *countingConn) SetReadDeadline(t time.Time) error {
	c.set.Add(1)
	return c.tcpConn.SetReadDeadline(t)
}

// pipeConn is a connection in memory with the methods of a TCP connection.
type pipeConn struct{ net.Conn }

func (c pipeConn) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }
func (c pipeConn) CloseWrite() error                     { return c.Close() }

func newTestConn(t *testing.T) (c *requestConn, below *countingConn, client net.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	below = &countingConn{tcpConn: pipeConn{a}}
	return &requestConn{tcpConn: below, assertion: []byte("POST /v1/")}, below, b
}

// A read and a write end at the deadline that was set last, whatever was set before.
func TestRequestConn_LastDeadlineCounts(t *testing.T) {
	for _, sequence := range [][]time.Duration{
		{time.Second}, {time.Second, 3 * time.Second}, {3 * time.Second, time.Second}, {time.Second, 0, 2 * time.Second},
		{-time.Second, 2 * time.Second}, {time.Second, -time.Second}, {2 * time.Second, -time.Second, 0, 3 * time.Second},
	} {
		t.Run(fmt.Sprint(sequence), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, _ := newTestConn(t)
				for name, d := range map[string]struct {
					set func(time.Time) error
					try func([]byte) (int, error)
				}{"read": {c.SetReadDeadline, c.Read}, "write": {c.SetWriteDeadline, c.Write}} {
					began := time.Now()
					for _, after := range sequence {
						deadline := time.Time{}
						if after != 0 {
							deadline = began.Add(after)
						}
						_ = d.set(deadline)
					}
					_, err := d.try(make([]byte, 8))
					want := max(sequence[len(sequence)-1], 0)
					if took := time.Since(began); took != want || !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s ended after %v with %v, want %v and a timeout", name, took, err, want)
					}
				}
			})
		})
	}
}

// A deadline that is set while a read waits ends it.
func TestRequestConn_EarlierDeadlineEndsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newTestConn(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		began, ended := time.Now(), make(chan error)
		go func() { _, err := c.Read(make([]byte, 8)); ended <- err }()
		time.Sleep(time.Second)
		_ = c.SetReadDeadline(time.Now())
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("the read ended after %v with %v", time.Since(began), err)
		}
	})
}

// While deadlines of reads are extended a thousand times in a minute, a few reach the connection.
func TestRequestConn_ExtensionsAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, below, client := newTestConn(t)
		go func() { _, _ = io.Copy(client, client) }()
		for range 1000 {
			for _, after := range []time.Duration{2 * time.Minute, 10 * time.Second, 30 * time.Second} {
				_ = c.SetReadDeadline(time.Now().Add(after))
			}
			if _, err := c.Write([]byte("echo")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(60 * time.Millisecond)
		}
		if n := below.set.Load(); n > 40 {
			t.Errorf("%d deadlines reached the connection", n)
		}
	})
}

// The context of a POST to the API does not end with its client; that of others does. The next
// request on the connection is served either way.
func TestRequestConn_BackgroundRead(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Wait") != "" {
			// The client has closed its side when the second byte of the body was sent.
			select {
			case <-r.Context().Done():
				ended <- true
			case <-time.After(time.Duration(len(body)) * time.Second):
				ended <- false
			}
		}
		_, _ = w.Write(body)
	}), IdleTimeout: time.Minute, ReadTimeout: time.Minute, ReadHeaderTimeout: time.Minute, WriteTimeout: time.Minute}
	go func() { _ = server.Serve(newRequestListener(inner, "/tally")) }()
	t.Cleanup(func() { _ = server.Close() })

	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, bufio.NewReader(c)
	}
	request := func(path, header, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, header, len(body), body)
	}
	for _, path := range []string{"/tally/v1/default/likes/a", "/tally/admin/v1/x", "/v1/x"} {
		c, reader := dial()
		// One by one, in two pieces, and two at once.
		all := request(path, "", "first") + request(path, "", "second") + request(path, "", "third")
		cut := strings.Index(all, "second")
		for _, piece := range []string{all[:cut], all[cut:]} {
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"first", "second", "third"} {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(response.Body); string(body) != want {
				t.Errorf("%s: got %q, want %q", path, body, want)
			}
		}
	}
	for path, want := range map[string]bool{"/tally/v1/default/likes/a": false, "/tally/admin/v1/x": true} {
		c, _ := dial()
		length := 1
		if want {
			length = 60
		}
		_, _ = io.WriteString(c, request(path, "Wait: 1\r\n", strings.Repeat("x", length)))
		_ = c.Close()
		if got := <-ended; got != want {
			t.Errorf("%s: the context ended: %t, want %t", path, got, want)
		}
	}
}
