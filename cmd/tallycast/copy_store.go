package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// numbersSource is a store that is read.
type numbersSource interface {
	transfer.Source
	transfer.Lister
	Secret() ([]byte, error)
	Usage(ctx context.Context) ([]tally.SiteUsage, error)
}

// directStores opens stores that a command works on without a service.
type directStores struct {
	config
	catalog *tally.Catalog
}

// storeFlags are the settings of serve that say how a store is read.
var storeFlags = settingsNamed("redis-prefix", "secret", "secret-file", "metric", "config")

// directStores reads the settings that say how stores are opened.
func (p *process) directStores() (directStores, error) {
	values, problems := p.resolve()
	c, wrong := readConfig(values)
	if problems = append(problems, wrong...); len(problems) > 0 {
		all := make([]error, len(problems))
		for i, each := range problems {
			all[i] = errors.New(each.String())
		}
		return directStores{}, errors.Join(all...)
	}
	// Sites need no declaration here: a topic of one that is forgotten is not lost.
	return directStores{c, tally.NewOpenCatalog(c.metrics)}, nil
}

// read opens a store to be read, an SQLite file also beside a service that holds it.
func (d directStores) read(ctx context.Context, url storeURL) (source numbersSource, closeIt func() error, err error) {
	if path := url.sqlitePath; path != "" {
		reader, err := sqlitestore.OpenReader(ctx, path, d.catalog)
		if err != nil {
			return nil, nil, err
		}
		return declared{reader, d.catalog}, reader.Close, nil
	}
	s, err := d.kept(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	return declared{s, d.catalog}, s.Close, nil
}

// write opens a store to be written. One that is new keeps secret from then on.
func (d directStores) write(ctx context.Context, url storeURL, secret []byte) (store, error) {
	c := d.config
	c.store, c.secret = url, secret
	return d.open(ctx, c, false)
}

// kept opens a store to be written that has a secret already.
func (d directStores) kept(ctx context.Context, url storeURL) (store, error) {
	if isNew(url) {
		return nil, fmt.Errorf("%s does not exist yet: %w", url.name(), errNoSecret)
	}
	c := d.config
	c.store = url
	return d.open(ctx, c, true)
}

// errNoSecret says that there is no secret under which contributions mean anything.
var errNoSecret = errors.New("the contributions mean something under the secret alone that they were made with, and neither the file nor --secret-file has it; export --with-secret puts it into the file")

// open opens a store. A Redis that keeps no secret yet is refused where it should.
func (d directStores) open(ctx context.Context, c config, secretKept bool) (store, error) {
	s, err := d.openQuiet(ctx, c, secretKept)
	if err != nil {
		return nil, err
	}
	return notifying{s}, nil
}

// notifying is a store that tells the instances which share it that settings changed.
type notifying struct{ store }

func (n notifying) SetSetting(ctx context.Context, name, value string) error {
	err := n.store.SetSetting(ctx, name, value)
	n.Broadcast(owner.SettingsChanged())
	return err
}

func (n notifying) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	swapped, err := n.store.SwapSettings(ctx, expected, entries)
	n.Broadcast(owner.SettingsChanged())
	return swapped, err
}

func (d directStores) openQuiet(ctx context.Context, c config, secretKept bool) (store, error) {
	if c.store.sqlitePath != "" {
		s, err := openStore(ctx, c, d.catalog, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		if conflict := s.Health().Conflict; conflict != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.store.name(), conflict), s.Close())
		}
		return s, nil
	}
	s, err := redisstore.Open(c.store.redisURL, d.catalog, redisstore.Options{
		Prefix: c.redisPrefix, Secret: c.secret, SecretKept: secretKept, AllowEviction: c.allowEviction,
		Journal: c.journal, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := s.Connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s, err), s.Close())
	}
	return s, nil
}

// isNew tells whether an SQLite file would be made.
func isNew(url storeURL) bool {
	_, err := os.Stat(url.sqlitePath)
	return url.sqlitePath != "" && errors.Is(err, fs.ErrNotExist)
}

// name is how the store is called in messages, without credentials.
func (s storeURL) name() string {
	if s.sqlitePath != "" {
		return "sqlite:" + s.sqlitePath
	}
	return redactStore(s.redisURL)
}

// declared hands on what a source dumps, and refuses topics of metrics that nobody
// declared: contributions are kept by the metric's rule, and would be misread.
type declared struct {
	numbersSource
	catalog *tally.Catalog
}

func (d declared) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return d.numbersSource.Dump(ctx, scope, func(p tally.Portion) error {
		if d.catalog.Rule(p.Topic).Kind == 0 {
			return fmt.Errorf("%s is of a metric that is not declared here; give its rule as serve has it, with --metric %s=RULE or --config", p.Topic, p.Topic.Metric())
		}
		return each(p)
	})
}

// sumOf returns what is used of a scope, as far as it is known.
func sumOf(ctx context.Context, source numbersSource, scope tally.Scope) (contributions int64) {
	usage, err := source.Usage(ctx)
	if err != nil || scope.Metric != "" {
		return 0 // a bar less
	}
	for _, each := range usage {
		if scope.Site == "" || scope.Site == each.Site {
			contributions += each.Contributions
		}
	}
	return contributions
}

// parseScope reads site, site/metric or site/metric/beginning of keys.
func parseScope(text string) (tally.Scope, error) {
	var s tally.Scope
	parts := strings.SplitN(text, "/", 3)
	for i, into := range []*string{&s.Site, &s.Metric, &s.Prefix} {
		if i < len(parts) {
			*into = parts[i]
		}
	}
	if s.Site != "" && !tally.ValidSite(s.Site) || s.Metric != "" && !tally.ValidMetric(s.Metric) || s.Site == "" {
		return tally.Scope{}, fmt.Errorf("%q should be site, site/metric, or site/metric/ and the beginning of keys, such as blog/likes/posts/", text)
	}
	return s, nil
}
