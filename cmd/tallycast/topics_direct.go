package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// mendingStoreFlags let topics be mended without a service. The setting metric is left
// to the environment and the file: --metric names one here.
var mendingStoreFlags = append([]definition{
	{name: "store", group: groupDirect, takes: "URL", help: "Work straight on this store instead, in the forms of serve: an SQLite file that no service holds, or a Redis."},
}, settingsNamed("redis-prefix", "secret", "secret-file", "config")...)

// mendingClient returns what the flags name: a running service, or one made of a store
// for as long as the command, called name, runs.
func (p *process) mendingClient(name string) (*adminClient, error) {
	b, err := p.backend(false)
	if err != nil {
		return nil, err
	}
	if b.isService() {
		return p.adminClient()
	}
	p.printStore(b)
	if isNew(b.store) {
		return nil, fmt.Errorf("%s does not exist; --store should name the store that serve uses", b.store.name())
	}
	with := *p
	with.flags = maps.Clone(p.flags)
	delete(with.flags, "site") // which name what is meant here, and declare nothing
	delete(with.flags, "metric")
	delete(with.flags, "prefix")
	stores, err := with.directStores()
	if err != nil {
		return nil, usageError{err}
	}
	opened, err := stores.kept(p.ctx, b.store)
	if err != nil {
		return nil, adviseLocked(err)
	}
	metrics := map[string]tally.Rule{} // with those that the store keeps the rules of
	for _, metric := range stores.catalog.Metrics() {
		metrics[metric] = stores.catalog.MetricRule(metric)
	}
	catalog := tally.NewCatalog(append(stores.sites.names(), p.sitesNamed()...), metrics)
	log := slog.New(slog.DiscardHandler)
	desk := owner.New(opened, tally.NewService(opened, catalog), owner.Options{JournalRetention: stores.journal, Log: log})
	token := rand.Text()
	handler := admin.New(admin.Options{Owner: desk, Store: opened, Catalog: catalog, Token: token, Logger: log})
	actor := "tallycast " + name
	return &adminClient{at: "http://" + withinHost, token: token, release: opened.Close, http: &http.Client{Transport: within(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeAdmin(w, r, admin.Caller{Actor: actor})
	})}}, nil
}

// adviseLocked says what to do about a store that a service holds.
func adviseLocked(err error) error {
	if errors.Is(err, sqlitestore.ErrLocked) {
		return fmt.Errorf("%w. If that is a service, ask it instead: --at %s", err, defaultService)
	}
	return err
}

// withinHost stands for the service that is made of a store.
const withinHost = "store"

// sitesNamed returns the sites that the command line names, in arguments or --site:
// whoever names one knows that it is there.
func (p *process) sitesNamed() (sites []string) {
	for _, text := range append(append([]string{}, p.args...), append(p.flags["site"], p.flags["into"]...)...) {
		if site, _, _ := strings.Cut(text, "/"); tally.ValidSite(site) {
			sites = append(sites, site)
		}
	}
	return sites
}

// within answers requests in this process, each when all of its answer is there.
type within func(http.ResponseWriter, *http.Request)

// RoundTrip implements [http.RoundTripper].
func (serve within) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(context.WithoutCancel(r.Context()))
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	a := &withinAnswer{header: http.Header{}, status: http.StatusOK}
	serve(a, asked)
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), Header: a.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// withinAnswer is an answer that is being written.
type withinAnswer struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (a *withinAnswer) Header() http.Header         { return a.header }
func (a *withinAnswer) WriteHeader(status int)      { a.status = status }
func (a *withinAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
