package main

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// handshakes counts the clients that were cut off because they sent the header of
// their first request too slowly: net/http does not say so, and an attack of such
// clients would not be seen. It is safe for concurrent use; its zero value is ready.
type handshakes struct {
	begun sync.Map // net.Conn → time.Time, of connections that have not asked anything yet
	slow  atomic.Int64
}

// note is an [http.Server.ConnState]. The server calls a connection active when it
// has read a header, or has given up reading one of which there were some bytes.
func (h *handshakes) note(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		h.begun.Store(c, time.Now())
	case http.StateActive:
		if began, ok := h.begun.LoadAndDelete(c); ok && time.Since(began.(time.Time)) >= headerWithin {
			h.slow.Add(1)
		}
	case http.StateClosed: // also browsers' that connect before they have anything to ask
		h.begun.Delete(c)
	}
}

// Metrics implements [tally.Instrumented].
func (h *handshakes) Metrics() []tally.Metric {
	return []tally.Metric{{
		Name: "handshakes_dropped_total", Help: "Connections that were closed before their first request had come.", Counter: true,
		Label: "reason", Of: "slow", Value: float64(h.slow.Load()),
	}}
}
