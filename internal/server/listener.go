package server

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
	// headerTimeout is how long a client may take to send the header of a request: longer than the
	// slowest phone needs, and short enough to bound the connections of an attacker.
	headerTimeout = 10 * time.Second
	// bodyTimeout is how long a whole request may take to arrive; bodies have at most
	// 64 KiB. Hijacked connections are exempt.
	bodyTimeout = 30 * time.Second
	// answerTimeout is how long a request may take from its header until the client has received the
	// answer: the time of its body and 10 s. Handlers of longer answers, such as an export, extend it.
	answerTimeout = bodyTimeout + 10*time.Second
	// idleTimeout is how long a connection waits for the next request: longer than the 60 to 75 s of
	// common proxies, so that the proxy closes the connection first.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds a header: 1,000 topics in a URL fit.
	maxHeaderBytes = 256 << 10
	// shutdownTimeout is how long requests in flight may take after the last one was
	// accepted: a write is answered within 3 s whatever the store does.
	shutdownTimeout = 5 * time.Second
)

// listener is one bound address and its server.
type listener struct {
	net    net.Listener
	server *http.Server
}

// listen binds address, the value of the named setting. The caller sets the handler before
// [listener.serve].
func listen(setting, address string, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, explainListen(setting, address, err)
	}
	opened := &listener{net: l}
	opened.server = &http.Server{
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Errors of single clients are of no interest to most operators.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return opened, nil
}

// explainListen returns err with advice.
func explainListen(setting, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--%s %s: another process uses this address; end it, or choose another address: %w", setting, address, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("--%s %s: this user may not use this address; choose a port from 1024, or give the process CAP_NET_BIND_SERVICE: %w", setting, address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--%s %s: this machine has no such address: %w", setting, address, err)
	}
	return fmt.Errorf("--%s %s: %w", setting, address, err)
}

// address returns host:port as bound; empty if l is nil.
func (l *listener) address() string {
	if l == nil {
		return ""
	}
	return l.net.Addr().String()
}

// limit makes limiter admit the connections, and makes requests below base cheaper.
func (l *listener) limit(limiter *connlimit.Limiter, base string) {
	l.net, l.server.ConnState = limiter.Listener(newRequestListener(l.net, base)), limiter.ConnState
}

// serve answers requests until shutdown.
func (l *listener) serve() error {
	if err := l.server.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.address(), err)
	}
	return nil
}

// shutdown accepts no more requests and waits for those in flight, at most for
// [shutdownTimeout]. It then cuts off the clients that have not sent a whole request, which
// is not an error.
func (l *listener) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
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

// close releases the address; it may be called at any time.
func (l *listener) close() error {
	if err := l.net.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
