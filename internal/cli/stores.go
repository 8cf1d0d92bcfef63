package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// storeOpener opens stores for commands.
type storeOpener struct {
	config.Config
	catalog *tally.Catalog
}

// ledger is the part of a store that the admin handlers and copy use.
type ledger interface {
	tally.Store
	tally.Ledger
}

// storeOpener reads the settings for opening stores. It ignores a flag of the command that has the
// name of a setting but another meaning.
func (p *process) storeOpener() (storeOpener, error) {
	settings := *p
	settings.flags = map[string][]string{}
	for _, s := range p.settings {
		if texts, ok := p.flags[s.Name]; ok && s.Group == groupDirect {
			settings.flags[s.Name] = texts
		}
	}
	c, _, problems := settings.configure()
	if err := problems.Err(); err != nil {
		return storeOpener{}, usageError{err}
	}
	// Sites need not be declared, so that no topic of an undeclared site is lost.
	return storeOpener{c, tally.NewOpenCatalog(c.Metrics)}, nil
}

// errNoSecret means that a new store would not recognise the visitors of an export.
var errNoSecret = errors.New("a new store needs the secret of the exported store to recognise its visitors, and neither the file nor --secret-file has it; tallycast export --with-secret puts it into the file")

// open opens the store as u says, and also returns the function that closes it.
func (o storeOpener) open(ctx context.Context, url config.StoreURL, u storeUse) (ledger, func() error, error) {
	secret := o.Secret
	if secret == nil {
		secret = u.newSecret
	}
	_, err := os.Stat(url.SQLitePath)
	isNew := url.SQLitePath != "" && errors.Is(err, fs.ErrNotExist)
	mayCreate := u.create && (secret != nil || !u.needsSecret)
	switch {
	case isNew && u.readOnly && mayCreate:
		return o.empty(ctx)
	case u.readOnly:
		store, release, err := o.read(ctx, url)
		if mayCreate && errors.Is(err, redisstore.ErrNoSecret) {
			return o.empty(ctx) // a Redis that no service has used
		}
		return store, release, err
	case isNew && !u.create:
		return nil, nil, checkFile(url.SQLitePath)
	case isNew && !mayCreate:
		return nil, nil, fmt.Errorf("%s does not exist yet: %w", url.Name(), errNoSecret)
	}
	store, err := o.connect(ctx, url, secret, !mayCreate)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// read opens a store that is only read. An SQLite file may be in use by a service.
func (o storeOpener) read(ctx context.Context, url config.StoreURL) (ledger, func() error, error) {
	if url.SQLitePath == "" {
		store, err := o.connect(ctx, url, o.Secret, true)
		if err != nil {
			return nil, nil, err
		}
		return declaredMetrics{store, o.catalog}, store.Close, nil
	}
	if err := checkFile(url.SQLitePath); err != nil {
		return nil, nil, err
	}
	reader, err := sqlitestore.OpenReader(ctx, url.SQLitePath, o.catalog)
	if err != nil {
		return nil, nil, err
	}
	return declaredMetrics{readOnlyStore{Reader: reader}, o.catalog}, reader.Close, nil
}

// checkFile returns an error if the SQLite store at path does not exist.
func checkFile(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sqlite:%s does not exist; name the store that serve uses", path)
	}
	return nil
}

// empty opens a store without data that is deleted when it is closed.
func (o storeOpener) empty(ctx context.Context) (ledger, func() error, error) {
	dir, err := os.MkdirTemp("", "tallycast-")
	if err != nil {
		return nil, nil, err
	}
	store, err := o.connect(ctx, config.StoreURL{SQLitePath: filepath.Join(dir, "empty.db")}, nil, false)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}

// connect opens a store that commands may change. With secretKept the store must have a secret
// already. Otherwise a new store gets the secret, or generates one if secret is nil; an existing
// store must have the secret.
func (o storeOpener) connect(ctx context.Context, url config.StoreURL, secret []byte, secretKept bool) (server.Store, error) {
	c := o.Config
	c.Store, c.Secret = url, secret
	store, err := server.OpenStore(ctx, c, o.catalog, secretKept, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if remote, ok := store.(interface{ Connect(context.Context) error }); ok {
		err = remote.Connect(ctx)
	} else {
		err = store.Health().Conflict
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", url.Name(), err), store.Close())
	}
	return store, nil
}

// readOnlyStore is an SQLite file that a service may use at the same time. Only the methods of the
// reader work; the others panic, and no command that only reads calls them.
type readOnlyStore struct {
	*sqlitestore.Reader
	unsupported
}

type unsupported struct{ ledger }

// declaredMetrics is a store that refuses to dump topics of metrics without a known rule, since the
// rule determines what the contributions mean.
type declaredMetrics struct {
	ledger
	catalog *tally.Catalog
}

func (d declaredMetrics) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	return d.ledger.Dump(ctx, scope, func(p tally.Portion) error {
		if d.catalog.Rule(p.Topic).Kind == 0 {
			return tally.Errorf(tally.CodeUnknownMetric, "%s is of a metric that is not declared here; give its rule as serve has it, with --metric %s=RULE or --config", p.Topic, p.Topic.Metric())
		}
		return each(p)
	})
}

// totalContributions returns the number of contributions in a scope; 0 if it is unknown.
func totalContributions(ctx context.Context, source ledger, scope tally.Scope) (contributions int64) {
	usage, err := source.Usage(ctx, 0)
	if err != nil || scope.Metric != "" {
		return 0
	}
	for _, each := range usage.Sites {
		if scope.Site == "" || scope.Site == each.Site {
			contributions += each.Contributions
		}
	}
	return contributions
}

// parseScope parses site, site/metric or site/metric/beginning of keys.
func parseScope(text string) (tally.Scope, error) {
	var s tally.Scope
	parts := strings.SplitN(text, "/", 3)
	for i, into := range []*string{&s.Site, &s.Metric, &s.Prefix} {
		if i < len(parts) {
			*into = parts[i]
		}
	}
	if !tally.ValidSite(s.Site) || s.Metric != "" && !tally.ValidMetric(s.Metric) {
		return tally.Scope{}, fmt.Errorf("%q should be site, site/metric, or site/metric/ and the beginning of keys, such as blog/likes/posts/", text)
	}
	return s, nil
}
