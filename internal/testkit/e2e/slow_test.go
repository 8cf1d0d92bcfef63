package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// sendSlowly sends one byte a second until the server closes the connection.
func (w *wire) sendSlowly(text string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range len(text) {
		<-tick.C
		if _, err := w.Write([]byte{text[i]}); err != nil {
			return
		}
	}
	w.t.Errorf("the server accepted %d bytes, one a second", len(text))
}

// Clients that send a byte a second are disconnected and counted.
func TestHTTP_SlowSenders(t *testing.T) {
	t.Parallel()
	s := serve(t)
	beside := s.neighbours("default/likes/x")
	upgraded := func() *wire {
		w := s.wire().send(handshake)
		w.readUntil(`{"event":"live"}`)
		return w
	}
	const body = "POST /v1/stream HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"
	var slow sync.WaitGroup
	for _, each := range []struct {
		w     *wire
		text  string
		limit time.Duration
	}{
		{s.wire(), "", 15 * time.Second}, // sends nothing
		{s.wire(), handshake, 15 * time.Second},
		{s.wire(), request("GET", "/v1/stream?topic=default/likes/x", ""), 15 * time.Second},
		{upgraded(), masked(0x81, `{"subscribe":["default/likes/y"]}`), 15 * time.Second},
		{s.wire().send(body), fmt.Sprintf("%100s", `{"topics":[]}`), 40 * time.Second},
		{s.wire().send(body + "{"), "", 40 * time.Second}, // stops in the body
	} {
		slow.Go(func() { each.w.awaitClose(each.limit) })
		if each.text != "" {
			slow.Go(func() { each.w.sendSlowly(each.text) }) // ends when the server closes the connection
		}
	}
	ended := make(chan struct{})
	go func() { // ends with the slow clients
		defer close(ended)
		slow.Wait()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		beside.sendLike() // the instance serves others meanwhile
		select {
		case <-tick.C:
		case <-ended:
			waiting = false
		}
	}
	if n := s.Metric(`tallycast_handshakes_dropped_total{reason="slow"}`); n != 2 {
		t.Errorf("%v handshakes were dropped for slowness, want 2", n)
	}
	if n := s.viewersLeft("policy"); n != 1 {
		t.Errorf("%v viewers were closed for policy, want 1", n)
	}
	beside.checkUnaffected()
	s.checkServing()
}
