package redistopology

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		conn := &pacedConn{Conn: here}
		const messages = 20
		go func() { // ends with its messages
			defer there.Close()
			for range messages {
				if _, err := there.Write([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		}()
		read := func() (took time.Duration) {
			began := time.Now()
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		if took := read(); took != 0 {
			t.Errorf("the first message waited for %s", took)
		}
		if took := read(); took != subscriberReadInterval {
			t.Errorf("one that came at once after it was read after %s", took)
		}
		time.Sleep(10 * subscriberReadInterval)
		if took := read(); took != 0 {
			t.Errorf("one that came later waited for %s", took)
		}
		began := time.Now()
		for range messages - 3 {
			read()
		}
		if took := time.Since(began); took != (messages-3)*subscriberReadInterval {
			t.Errorf("the rest took %s", took)
		}
	})
}
