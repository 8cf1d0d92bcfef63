package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// applicationID is in the header of our files ("TALY"), so that file(1) and this package
// recognise them.
const applicationID = 0x54414c59

// ErrNewer is the error if a later release wrote the file, with another schema.
var ErrNewer = errors.New("the database was written by a newer release of tallycast")

// errForeign is the error if another program wrote the file.
var errForeign = errors.New("this is an SQLite database of another program")

//go:embed migration/*.sql
var migrationFiles embed.FS

// migrations returns the scripts in their order. The n-th changes version n-1 of the schema
// to version n.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migration/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	scripts := make([]string, len(names))
	for i, name := range names {
		script, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(script)
	}
	return scripts, nil
}

// querier is a connection or a pool of connections.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion returns the number of migrations that were applied to the file, or an error
// if the file is not ours. It only reads.
func schemaVersion(ctx context.Context, db querier, known int) (int, error) {
	var application, version, tables int
	err := db.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema)`).Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return 0, explain(err)
	case application == 0 && version == 0 && tables == 0:
		return 0, nil // a new file
	case application != applicationID:
		return 0, errForeign
	case version > known:
		return 0, fmt.Errorf("%w (its schema is version %d, this release knows up to %d); the file was not changed", ErrNewer, version, known)
	}
	return version, nil
}

// migrate updates the file to the newest schema, in one transaction.
func migrate(ctx context.Context, conn *sql.Conn) (err error) {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil) // immediate, by the connection's settings
	if err != nil {
		return explain(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	version, err := schemaVersion(ctx, tx, len(scripts))
	if err != nil {
		return err
	}
	for i, script := range scripts[version:] {
		if _, err := tx.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("migration %d: %w", version+i+1, explain(err))
		}
	}
	if version < len(scripts) {
		mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(scripts))
		if _, err := tx.ExecContext(ctx, mark); err != nil {
			return explain(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return explain(err)
	}
	return nil
}
