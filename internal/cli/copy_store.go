package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/server"
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
	config.Config
	catalog *tally.Catalog
}

// directStores reads the settings that say how stores are opened. Flags of the command that
// have the name of a setting and another meaning do not count.
func (p *process) directStores() (directStores, error) {
	settings := *p
	settings.flags = map[string][]string{}
	for _, s := range p.command.flags {
		if texts, ok := p.flags[s.Name]; ok && s.Group == groupDirect {
			settings.flags[s.Name] = texts
		}
	}
	c, _, problems := settings.configure()
	if err := problems.Err(); err != nil {
		return directStores{}, err
	}
	// Sites need not be declared: topics of a site that was forgotten are not lost.
	return directStores{c, tally.NewOpenCatalog(c.Metrics)}, nil
}

// read opens a store to be read, an SQLite file also beside a service that holds it.
func (d directStores) read(ctx context.Context, url config.StoreURL) (source numbersSource, closeIt func() error, err error) {
	if path := url.SQLitePath; path != "" {
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
func (d directStores) write(ctx context.Context, url config.StoreURL, secret []byte) (server.Store, error) {
	c := d.Config
	c.Store, c.Secret = url, secret
	return d.open(ctx, c, false)
}

// kept opens a store to be written that has a secret already.
func (d directStores) kept(ctx context.Context, url config.StoreURL) (server.Store, error) {
	if isNew(url) {
		return nil, fmt.Errorf("%s does not exist yet: %w", url.Name(), errNoSecret)
	}
	c := d.Config
	c.Store = url
	return d.open(ctx, c, true)
}

// errNoSecret says that there is no secret under which contributions mean anything.
var errNoSecret = errors.New("the contributions mean something under the secret alone that they were made with, and neither the file nor --secret-file has it; export --with-secret puts it into the file")

// open opens a store. A Redis that keeps no secret yet is refused where it should.
func (d directStores) open(ctx context.Context, c config.Config, secretKept bool) (server.Store, error) {
	s, err := d.openQuiet(ctx, c, secretKept)
	if err != nil {
		return nil, err
	}
	return notifying{s}, nil
}

// notifying is a store that tells the instances which share it that settings changed.
type notifying struct{ server.Store }

func (n notifying) SetSetting(ctx context.Context, name, value string) error {
	err := n.Store.SetSetting(ctx, name, value)
	n.Broadcast(owner.SettingsChanged())
	return err
}

func (n notifying) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	swapped, err := n.Store.SwapSettings(ctx, expected, entries)
	n.Broadcast(owner.SettingsChanged())
	return swapped, err
}

func (d directStores) openQuiet(ctx context.Context, c config.Config, secretKept bool) (server.Store, error) {
	if c.Store.SQLitePath != "" {
		s, err := server.OpenStore(ctx, c, d.catalog, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		if conflict := s.Health().Conflict; conflict != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.Store.Name(), conflict), s.Close())
		}
		return s, nil
	}
	s, err := redisstore.Open(c.Store.RedisURL, d.catalog, redisstore.Options{
		Prefix: c.RedisPrefix, Secret: c.Secret, SecretKept: secretKept, AllowEviction: c.AllowEviction,
		Journal: c.Journal, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := s.Connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s, err), s.Close())
	}
	return s, nil
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
