package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// storeUse describes how a command uses a store that it opens itself.
type storeUse struct {
	command string   // the actor in the audit log
	sites   []string // sites that the command line names, beside the declared ones
	create  bool     // create the store if it does not exist
	// readOnly means that the command only reads. An SQLite file may then be in use by a
	// service, and a store that does not exist is not created.
	readOnly   bool
	withSecret bool // exports carry the secret
	// newSecret is the secret of a new store if no setting gives it. With needsSecret a new store
	// does not generate one.
	newSecret   []byte
	needsSecret bool
}

// openLocal returns a client of the admin handlers in this process, over the store at url.
// The client holds the store until it is closed.
func (p *process) openLocal(url config.StoreURL, u storeUse) (*adminClient, error) {
	opener, err := p.storeOpener()
	if err != nil {
		return nil, err
	}
	store, release, err := opener.open(p.ctx, url, u)
	if errors.Is(err, sqlitestore.ErrLocked) {
		err = fmt.Errorf("%w. If that is a service, ask it instead: --at %s", err, defaultService)
	}
	if err != nil {
		return nil, err
	}
	metrics := map[string]tally.Rule{} // with the rules in the store
	for _, metric := range opener.catalog.Metrics() {
		metrics[metric] = opener.catalog.MetricRule(metric)
	}
	catalog := tally.NewCatalog(append(opener.Sites.Names(), u.sites...), metrics)
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	token := rand.Text()
	options := owner.Options{JournalRetention: opener.Journal, Log: log}
	if feed, ok := store.(tally.Feed); ok {
		options.Broadcast = feed.Broadcast // so that instances that share the store reload changed settings
	}
	handler := admin.New(admin.Options{
		Owner: owner.New(store, tally.NewService(store, catalog), options),
		Token: token, ExportSecret: u.withSecret, Logger: log,
	})
	caller := admin.Caller{Actor: "tallycast " + u.command}
	transport, stop := serveInProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeAdmin(w, r, caller) }), log)
	return &adminClient{
		base: "http://store", label: url.Name(), token: token, http: &http.Client{Transport: transport},
		release: func() error { return errors.Join(stop(), release()) },
	}, nil
}

// sitesOf returns the sites at the beginning of texts, such as topics.
func sitesOf(texts []string) (sites []string) {
	for _, text := range texts {
		if site, _, _ := strings.Cut(text, "/"); tally.ValidSite(site) {
			sites = append(sites, site)
		}
	}
	return sites
}

// serveInProcess serves handler, whose panics it logs, over connections within the process. It returns the
// transport that reaches it, and a function that waits for the requests in progress and
// stops both: a request that changes something is completed although its client left.
func serveInProcess(handler http.Handler, log *slog.Logger) (*http.Transport, func() error) {
	listener := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)}
	ended := make(chan struct{})
	go func() { // ends when web is shut down, which waits for it
		defer close(ended)
		_ = web.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial}
	return transport, func() error {
		transport.CloseIdleConnections()
		err := web.Shutdown(context.Background())
		<-ended
		return err
	}
}

// pipeListener accepts the connections that dial makes.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{} // closed by Close, which is called once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.connections <- pipeConn{server}:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeConn ignores the deadlines of writes, which are for clients in a network: the reader of
// an export may pause for any time.
type pipeConn struct{ net.Conn }

func (pipeConn) SetWriteDeadline(time.Time) error { return nil }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.connections:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "store", Net: "unix"} }
