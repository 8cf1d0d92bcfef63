package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// localStore says how a command uses a store that it opens itself.
type localStore struct {
	command string   // the actor in the audit log
	sites   []string // sites that the command line names, beside the declared ones
	create  bool     // the store may be new
	// readOnly means that the command only reads. An SQLite file may then be held by a
	// service, and a new store leaves nothing behind.
	readOnly bool
}

// localHost is the host of requests to handlers in this process.
const localHost = "store"

// openLocal returns a client of the admin handlers over the store at url, which the client
// holds until it is closed.
func (p *process) openLocal(url config.StoreURL, o localStore) (*adminClient, error) {
	stores, err := p.directStores()
	if err != nil {
		return nil, usageError{err}
	}
	store, release, err := stores.openLocal(p.ctx, url, o)
	if err != nil {
		return nil, adviseLocked(err)
	}
	metrics := map[string]tally.Rule{} // with the rules that the store keeps
	for _, metric := range stores.catalog.Metrics() {
		metrics[metric] = stores.catalog.MetricRule(metric)
	}
	catalog := tally.NewCatalog(append(stores.Sites.Names(), o.sites...), metrics)
	log := slog.New(slog.DiscardHandler)
	service := owner.New(store, tally.NewService(store, catalog), owner.Options{JournalRetention: stores.Journal, Log: log})
	token := rand.Text()
	handler := admin.New(admin.Options{Owner: service, Store: store, Catalog: catalog, Token: token, Logger: log})
	actor := admin.Caller{Actor: "tallycast " + o.command}
	transport, stop := serveInProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeAdmin(w, r, actor) }))
	return &adminClient{
		at: "http://" + localHost, token: token, http: &http.Client{Transport: transport},
		release: func() error { return errors.Join(stop(), release()) },
	}, nil
}

// openLocal opens the store and returns what closes it.
func (d directStores) openLocal(ctx context.Context, url config.StoreURL, o localStore) (localLedger, func() error, error) {
	switch {
	case isNew(url) && !o.create:
		return nil, nil, fmt.Errorf("%s does not exist; --store should name the store that serve uses", url.Name())
	case isNew(url) && o.readOnly:
		dir, err := os.MkdirTemp("", "tallycast-")
		if err != nil {
			return nil, nil, err
		}
		url.SQLitePath = filepath.Join(dir, "new.db")
		store, err := d.write(ctx, url, d.Secret)
		if err != nil {
			return nil, nil, errors.Join(err, os.RemoveAll(dir))
		}
		return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
	case url.SQLitePath != "" && o.readOnly:
		reader, err := sqlitestore.OpenReader(ctx, url.SQLitePath, d.catalog)
		if err != nil {
			return nil, nil, err
		}
		return readOnlyStore{Reader: reader}, reader.Close, nil
	}
	open := d.kept
	if o.create {
		open = func(ctx context.Context, url config.StoreURL) (server.Store, error) {
			return d.write(ctx, url, d.Secret)
		}
	}
	store, err := open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// localLedger is the part of a store that the admin handlers need.
type localLedger interface {
	tally.Store
	tally.Ledger
}

// readOnlyStore is an SQLite file that a service may hold. Only the methods of the reader
// work; a command that opens a store read-only calls handlers that need no others.
type readOnlyStore struct {
	*sqlitestore.Reader
	unsupported
}

type unsupported struct{ localLedger }

// isNew reports whether opening the store would create an SQLite file.
func isNew(url config.StoreURL) bool {
	_, err := os.Stat(url.SQLitePath)
	return url.SQLitePath != "" && errors.Is(err, fs.ErrNotExist)
}

// adviseLocked adds advice to the error of a store that a service holds.
func adviseLocked(err error) error {
	if errors.Is(err, sqlitestore.ErrLocked) {
		return fmt.Errorf("%w. If that is a service, ask it instead: --at %s", err, defaultService)
	}
	return err
}

// sitesOf returns the sites that topics, or other texts that begin with a site, name.
func sitesOf(texts []string) (sites []string) {
	for _, text := range texts {
		if site, _, _ := strings.Cut(text, "/"); tally.ValidSite(site) {
			sites = append(sites, site)
		}
	}
	return sites
}

// serveInProcess serves handler over connections within the process. It returns the
// transport that reaches it, and what stops both.
func serveInProcess(handler http.Handler) (*http.Transport, func() error) {
	listener := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	ended := make(chan struct{})
	go func() { // ends when web is closed, for which stop waits
		defer close(ended)
		_ = web.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial}
	return transport, func() error {
		transport.CloseIdleConnections()
		err := web.Close()
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
	case l.connections <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

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

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: localHost, Net: "unix"} }
