package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// trickle sends text one byte a second, until the server hangs up.
func (w *wire) trickle(text string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range len(text) {
		<-tick.C
		if _, err := w.Write([]byte{text[i]}); err != nil {
			return
		}
	}
	w.t.Errorf("%d bytes were taken, one a second", len(text))
}

// Who sends a byte a second is given up, whatever it is a part of, and the operator
// sees how many were.
func TestWhoSendsSlowlyIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	s := serve(t)
	beside := s.neighbours("default/likes/x")
	upgraded := func() *wire {
		w := s.wire().send(handshake)
		w.awaits(`{"event":"live"}`)
		return w
	}
	const body = "POST /v1/stream HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"
	var slow sync.WaitGroup
	for _, each := range []struct {
		w     *wire
		text  string
		limit time.Duration
	}{
		{s.wire(), "", 15 * time.Second}, // says nothing at all
		{s.wire(), handshake, 15 * time.Second},
		{s.wire(), request("GET", "/v1/stream?topic=default/likes/x", ""), 15 * time.Second},
		{upgraded(), masked(0x81, `{"subscribe":["default/likes/y"]}`), 15 * time.Second},
		{s.wire().send(body), fmt.Sprintf("%100s", `{"topics":[]}`), 40 * time.Second},
		{s.wire().send(body + "{"), "", 40 * time.Second}, // says no more
	} {
		slow.Go(func() { each.w.hangsUp(each.limit) })
		if each.text != "" {
			slow.Go(func() { each.w.trickle(each.text) }) // ends when the server hangs up
		}
	}
	ended := make(chan struct{})
	go func() { // ends with those that are slow
		defer close(ended)
		slow.Wait()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		beside.press() // meanwhile others are served
		select {
		case <-tick.C:
		case <-ended:
			waiting = false
		}
	}
	if n := s.metric(`tallycast_handshakes_dropped_total{reason="slow"}`); n != 2 {
		t.Errorf("%v handshakes were dropped for slowness, want 2", n)
	}
	if n := s.left("policy"); n != 1 {
		t.Errorf("%v viewers were closed for policy, want 1", n)
	}
	beside.unharmed()
	s.alive()
}
