package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/connlimit"
)

const (
	// headerWithin is how long a client may take to send its request's header:
	// longer than the slowest phone, shorter than what an attacker would like.
	headerWithin = 10 * time.Second
	// bodyWithin is how long the whole request may take to arrive; bodies have
	// 64 KiB at most. It does not concern connections that are taken over.
	bodyWithin = 30 * time.Second
	// answerWithin is how long a request may take from its header's arrival until its
	// client took the answer: its body, and 10 s more. What takes longer by its nature,
	// such as an export, lifts it.
	answerWithin = bodyWithin + 10*time.Second
	// idleFor is how long a connection is kept for the next request. Longer than
	// the 60 to 75 s of common proxies, so that it is they who close.
	idleFor = 2 * time.Minute
	// maxHeader bounds the header in bytes: 1,000 topics in a URL fit.
	maxHeader = 256 << 10
)

// listener is one address that is served.
type listener struct {
	net    net.Listener
	server *http.Server
}

// listen listens on address, the value of the setting that is named. What
// answers is set before [listener.serve].
func listen(setting, address string, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, explainListen(setting, address, err)
	}
	opened := &listener{net: l}
	opened.server = &http.Server{
		ReadHeaderTimeout: headerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		// What net/http says concerns single clients that misbehave.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return opened, nil
}

// explainListen says what to do.
func explainListen(setting, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--%s %s: another process listens there; end it, or choose another address: %w", setting, address, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("--%s %s: this user may not listen there; choose a port from 1024, or give the process CAP_NET_BIND_SERVICE: %w", setting, address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--%s %s: this machine has no such address: %w", setting, address, err)
	}
	return fmt.Errorf("--%s %s: %w", setting, address, err)
}

// address returns host:port as it was bound; empty for no listener.
func (l *listener) address() string {
	if l == nil {
		return ""
	}
	return l.net.Addr().String()
}

// limit has limiter admit the connections.
func (l *listener) limit(limiter *connlimit.Limiter) {
	l.net, l.server.ConnState = limiter.Listener(l.net), limiter.Note
}

// serve answers until shutdown.
func (l *listener) serve() error {
	if err := l.server.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.address(), err)
	}
	return nil
}

// shutdown takes no more requests and waits for those that are being answered,
// at most for [finishWithin]: who has not sent a whole request by then, or
// connected without sending any, is cut off, which is no failure of ours.
func (l *listener) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWithin)
	defer cancel()
	err := l.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = l.server.Close()
	}
	if err != nil {
		return fmt.Errorf("finish the requests on %s: %w", l.address(), err)
	}
	return nil
}

// close frees the address; it may be called at any time.
func (l *listener) close() error {
	if err := l.net.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
