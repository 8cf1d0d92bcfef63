package server

import (
	"context"
	"log/slog"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// Store is a store with its feed of changes.
type Store interface {
	tally.Store
	tally.Ledger
	tally.Feed
	Close() error
}

// OpenStore opens the store of the configuration. Redis may be unreachable; an SQLite file is opened
// at once. With secretKept it refuses a Redis without a secret.
func OpenStore(ctx context.Context, c config.Config, catalog *tally.Catalog, secretKept bool, log *slog.Logger) (Store, error) {
	return openStore(ctx, c, catalog, secretKept, redisstore.Intervals{}, log)
}

func openStore(ctx context.Context, c config.Config, catalog *tally.Catalog, secretKept bool, intervals redisstore.Intervals, log *slog.Logger) (Store, error) {
	if path := c.Store.SQLitePath; path != "" {
		s, err := sqlitestore.Open(ctx, path, catalog, sqlitestore.Options{Secret: c.Secret, Journal: c.Journal, History: c.History, LeaseFile: c.LeaseFile, Logger: log})
		if err != nil {
			return nil, err // not s: a nil *sqlitestore.Store in an interface is not nil
		}
		return s, nil
	}
	s, err := redisstore.Open(c.Store.RedisURL, catalog, redisstore.Options{
		Prefix:        c.RedisPrefix,
		Secret:        c.Secret,
		RequireSecret: secretKept,
		AllowEviction: c.AllowEviction,
		ReplicaURL:    c.StoreReplica.RedisURL,
		Journal:       c.Journal,
		History:       c.History,
		Intervals:     intervals,
		Logger:        log,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// near returns the store for reads by pages. If s has a replica, it reads there.
func near(s Store) tally.ServiceStore {
	if replicated, ok := s.(interface{ Near() tally.ServiceStore }); ok {
		return replicated.Near()
	}
	return s
}
