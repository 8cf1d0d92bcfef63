package main

import (
	"context"
	"log/slog"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// store is where counts are kept, and what tells of their changes.
type store interface {
	tally.Store
	tally.Ledger
	tally.Feed
	Close() error
}

// openStore opens the store that the configuration names. A Redis that is away
// is waited for later; an SQLite file has to be there now.
func openStore(ctx context.Context, c config, catalog *tally.Catalog, log *slog.Logger) (store, error) {
	if path := c.store.sqlitePath; path != "" {
		s, err := sqlitestore.Open(ctx, path, catalog, sqlitestore.Options{Secret: c.secret, Journal: c.journal, Logger: log})
		if err != nil {
			return nil, err // not s: a nil *Store is no nil store
		}
		return s, nil
	}
	s, err := redisstore.Open(c.store.redisURL, catalog, redisstore.Options{
		Prefix:        c.redisPrefix,
		Secret:        c.secret,
		AllowEviction: c.allowEviction,
		Journal:       c.journal,
		Logger:        log,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// checkRedis tells what the Redis store would refuse at once, which takes no
// connection.
func checkRedis(url string) error {
	s, err := redisstore.Open(url, tally.NewCatalog(nil, nil), redisstore.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return s.Close()
}
