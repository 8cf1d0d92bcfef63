package cli

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// The store is closed after the requests that use it, also if the command was interrupted.
func TestServeInProcess_InterruptedRequest(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(context.Background())
	var isComplete atomic.Bool
	transport, stop := serveInProcess(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		interrupt()
		time.Sleep(200 * time.Millisecond)
		isComplete.Store(true)
	}), slog.New(slog.DiscardHandler))
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://store/", strings.NewReader("{}"))
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
		t.Error("the interrupted request has an answer")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !isComplete.Load() {
		t.Error("the request was still in progress")
	}
}

// A panic is logged, and ends the request.
func TestServeInProcess_Panic(t *testing.T) {
	t.Parallel()
	var log processtest.LogBuffer
	transport, stop := serveInProcess(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }), slog.New(slog.NewTextHandler(&log, nil)))
	if response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://store/", nil)); err == nil {
		response.Body.Close()
		t.Error("the request has an answer")
	}
	if err := stop(); err != nil || !strings.Contains(log.String(), "a fault") {
		t.Errorf("%v, log: %s", err, log.String())
	}
}

// The reader of an export may pause for longer than a client in a network.
func TestServeInProcess_PausedReader(t *testing.T) {
	t.Parallel()
	transport, stop := serveInProcess(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriter(w)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = out.WriteString(strings.Repeat("x", 1<<20))
		_ = out.Flush()
	}), slog.New(slog.DiscardHandler))
	response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://store/", nil))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if text, err := io.ReadAll(response.Body); err != nil || len(text) != 1<<20 {
		t.Errorf("%d bytes: %v", len(text), err)
	}
	response.Body.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}
