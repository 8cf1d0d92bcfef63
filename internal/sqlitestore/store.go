package sqlitestore

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// secretBytes is the length of a generated secret, that of SHA-256's output.
	secretBytes = 32
	// maxReaders bounds the connections for visitors' reads, each with a page cache of up to
	// 2 MB. Reads take tens of microseconds; more of them would wait for processors.
	maxReaders = 4
	// busyMillis is how long SQLite waits for another program to unlock the file, unless the
	// deadline of the call is earlier.
	busyMillis = "5000"
	// writerCache bounds the writer's page cache, in KiB (SQLite's negative numbers): enough
	// for the inner pages and some leaves of a million members.
	writerCache = "-16384"
	// maxIdleWAL is the size in bytes to which SQLite truncates the write-ahead log after a
	// long read let it grow.
	maxIdleWAL = "67108864"
)

// ErrSecret is the error if the file has another secret than [Options].
var ErrSecret = errors.New("the database keeps another secret than the one given with --secret; visitors would not be recognised under it")

// Options of [Open]. The zero value suits a service.
type Options struct {
	// Secret is the key of the visitor hash; nil is the one in the file, or a new one.
	Secret []byte
	// Now is the store's clock, for versions and windows; nil is time.Now.
	Now func() time.Time
	// Journal is the retention of the journal; 0 keeps none.
	Journal time.Duration
	// History is how long the count of each day is kept, see [tally.ValidateHistory]; the count
	// of each hour is kept for 8 days. 0 records none.
	History time.Duration
	// TopInterval is the delay after which changed gains are updated; 2 s if 0.
	TopInterval time.Duration
	// LeaseFile is the path of a file. Writes are acknowledged only while its modification
	// time is in the future. Empty: always.
	LeaseFile string
	// Logger logs failures of the file and their ends; nil is slog.Default().
	Logger *slog.Logger
}

// Store is one open file. It implements [tally.Store], [tally.Feed] and
// [tally.Ledger], and is safe for concurrent use.
type Store struct {
	*Reader // the owner's reads

	// Fixed after Open.
	lock       *lock
	leaseFile  string
	writePool  *sql.DB // one connection, which writer owns
	readPool   *sql.DB
	statements readStatements
	writer     *writer
	jobs       chan *job
	sweeps     chan struct{} // holds one if there may be rows to remove
	reverting  chan struct{} // holds one during a revert
	closing    chan struct{} // closed by Close

	feed          *feed
	presence      *presence
	finalVersions *finalVersions
	gains         *gains

	writeFault fault

	working sync.WaitGroup // the goroutines that write, sweep and update gains
	close   func() error
}

var (
	_ tally.Store  = (*Store)(nil)
	_ tally.Feed   = (*Store)(nil)
	_ tally.Ledger = (*Store)(nil)
)

// Open opens the database at path for the topics of catalog, creates it if it is missing,
// and locks it until Close. If a metric has another rule than its data, Health reports the
// conflict and all other calls fail. Errors, which name the file: [ErrLocked],
// [ErrNewer], [ErrSecret] and those of the file system.
func Open(ctx context.Context, path string, catalog *tally.Catalog, options Options) (_ *Store, err error) {
	if err := tally.ValidateHistory(options.History); err != nil {
		return nil, fmt.Errorf("the history: %w", err)
	}
	s := &Store{
		Reader:        &Reader{catalog: catalog, now: options.Now, journalRetention: options.Journal, historyRetention: options.History},
		leaseFile:     options.LeaseFile,
		jobs:          make(chan *job),
		sweeps:        make(chan struct{}, 1),
		reverting:     make(chan struct{}, 1),
		closing:       make(chan struct{}),
		feed:          newFeed(),
		finalVersions: &finalVersions{},
		gains:         newGains(options.TopInterval),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	s.presence = newPresence(s.now, s.feed)
	s.close = sync.OnceValue(s.shut)
	if s.path, err = resolvePath(path); err != nil {
		return nil, err
	}
	if s.lock, err = acquireLock(s.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	db, err := openOrCreate(ctx, s.path)
	if err != nil {
		return nil, err
	}
	s.use(db)
	log := options.Logger.With("file", s.path)
	if err := s.connect(ctx, options.Secret, log); err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path, explain(err))
	}
	if s.conflict != nil {
		log.Error("sqlite: the configuration conflicts with the file; nothing is read or written until it is corrected", "cause", s.conflict)
	}
	s.writeFault.logTo(log, "written")
	s.readFault.logTo(log, "read")
	// All end with Close.
	s.working.Go(s.write)
	s.working.Go(s.sweep)
	s.working.Go(s.updateGains)
	return s, nil
}

// connect opens the connections of the writer and of visitors' reads, updates the schema and
// loads the secret.
func (s *Store) connect(ctx context.Context, secret []byte, log *slog.Logger) (err error) {
	s.writePool, err = sql.Open("sqlite", dsn(s.path,
		"_txlock=immediate",
		pragma("busy_timeout", busyMillis),
		pragma("journal_mode", "wal"),
		pragma("synchronous", "full"), // a commit is on disk when it returns
		pragma("fullfsync", "on"),     // on macOS too, where fsync stops at the drive's cache
		pragma("cache_size", writerCache),
		// The sweep removes the rows of a deleted topic, in small transactions.
		pragma("foreign_keys", "off"),
		pragma("journal_size_limit", maxIdleWAL),
		// SQLite writes temporary files there, for all connections of the process. A container may
		// have no other writable directory.
		pragma("temp_store_directory", "'"+strings.ReplaceAll(filepath.Dir(s.path), "'", "''")+"'"),
	))
	if err != nil {
		return err
	}
	s.writePool.SetMaxOpenConns(1)
	conn, err := s.writePool.Conn(ctx)
	if err != nil {
		return err
	}
	s.writer = &writer{conn: conn, catalog: s.catalog, now: s.now, journalRetention: s.journalRetention, historyRetention: s.historyRetention, finalVersions: s.finalVersions, statements: map[string]*sql.Stmt{}, jobs: s.jobs}
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("this file system does not support a write-ahead log (journal mode is %s); keep the database on a local disk", mode)
	}
	if err := migrate(ctx, conn, log); err != nil {
		return err
	}
	if s.secret, err = loadSecret(ctx, conn, secret); err != nil {
		return err
	}
	if err := s.writer.loadNumbering(); err != nil {
		return err
	}
	if s.conflict, err = s.writer.reconcileRules(ctx); err != nil {
		return err
	}
	if s.readPool, _, err = openReadOnly(ctx, s.path); err != nil {
		return err
	}
	s.readPool.SetMaxOpenConns(maxReaders)
	s.readPool.SetMaxIdleConns(maxReaders)
	return s.statements.prepare(ctx, s.readPool)
}

// loadSecret returns the file's secret. A new file gets the configured one, or else a random one.
func loadSecret(ctx context.Context, conn *sql.Conn, configured []byte) ([]byte, error) {
	initial := configured
	if len(initial) == 0 {
		initial = make([]byte, secretBytes)
		rand.Read(initial) // never fails
	}
	if _, err := conn.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('secret', ?) ON CONFLICT DO NOTHING`, initial); err != nil {
		return nil, err
	}
	var stored []byte
	if err := conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'secret'`).Scan(&stored); err != nil {
		return nil, err
	}
	if len(configured) > 0 && !bytes.Equal(configured, stored) {
		return nil, ErrSecret
	}
	return stored, nil
}

// Close waits for the current write, closes the file and unlocks it. Run must have
// returned. Later calls fail as unavailable.
func (s *Store) Close() error { return s.close() }

// closeTimeout bounds the last write of Close.
const closeTimeout = time.Second

func (s *Store) shut() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.storePeaks(ctx) // the health has the error
	close(s.closing)
	s.working.Wait()
	// The writer's connection is the last, so that it checkpoints the write-ahead log.
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	if s.readPool != nil {
		err = errors.Join(err, s.readPool.Close())
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.close())
	}
	if s.writePool != nil {
		err = errors.Join(err, s.writePool.Close())
	}
	return errors.Join(err, s.lock.release())
}

// Lane implements [tally.Applier]: there is one writer.
func (s *Store) Lane(tally.Topic) string { return "sqlite" }

// Secret implements [tally.SecretSource].
func (s *Store) Secret() ([]byte, error) {
	if s.conflict != nil {
		return nil, tally.Unavailable(s.conflict)
	}
	return s.Reader.Secret()
}

// Health reports the errors of the last operations on the file.
func (s *Store) Health() tally.Health {
	err := errors.Join(s.writeFault.err(), s.readFault.err())
	if err != nil {
		err = fmt.Errorf("%s: %w", s.path, err)
	}
	return tally.Health{Reached: true, Err: err, Conflict: s.conflict}
}
