package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
)

// applicationID ("TALY") is in the header of the files, so that file(1) and this package
// recognise them.
const applicationID = 0x54414c59

// ErrNewer is the error if a later release wrote the file, with another schema.
var ErrNewer = errors.New("the database was written by a newer release of tallycast")

// errForeign is the error if another program wrote the file.
var errForeign = errors.New("this is an SQLite database of another program")

//go:embed migration
var migrationFiles embed.FS

// migrations change the schema: the n-th one from version n-1 to version n.
var migrations = readMigrations()

func readMigrations() (scripts []string) {
	files, _ := migrationFiles.ReadDir("migration") // in order; reading embedded files cannot fail
	for _, file := range files {
		script, _ := migrationFiles.ReadFile("migration/" + file.Name())
		scripts = append(scripts, string(script))
	}
	return scripts
}

// schemaVersion returns the number of migrations that were applied to the file, or an error if
// another program wrote it. It only reads. Litestream may have added its tables to a new file.
func schemaVersion(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (int, error) {
	var application, version, tables int
	err := db.QueryRowContext(ctx, `SELECT
		(SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT GLOB '_litestream_*')`).Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return 0, err
	case application == 0 && version == 0 && tables == 0:
		return 0, nil // a new file
	case application != applicationID:
		return 0, errForeign
	case version > len(migrations):
		return 0, fmt.Errorf("%w (its schema is version %d, this release knows up to %d); the file was not changed", ErrNewer, version, len(migrations))
	}
	return version, nil
}

// migrate updates the file to the newest schema, in one transaction. It logs that before it
// begins, since a million topics take about 8 s.
func migrate(ctx context.Context, conn *sql.Conn, log *slog.Logger) error {
	return inTransaction(ctx, conn, func(tx *sql.Tx) error {
		version, err := schemaVersion(ctx, tx)
		if err != nil || version == len(migrations) {
			return err
		}
		if version > 0 {
			log.Info("sqlite: the file of an earlier release is updated; nothing is served until that ends", "from", version, "to", len(migrations))
		}
		for i, script := range migrations[version:] {
			if _, err := tx.ExecContext(ctx, script); err != nil {
				return fmt.Errorf("migration %d: %w", version+i+1, err)
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations)))
		return err
	})
}

// inTransaction runs run in a transaction, which it rolls back if run fails.
func inTransaction(ctx context.Context, db interface {
	BeginTx(ctx context.Context, options *sql.TxOptions) (*sql.Tx, error)
}, run func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil) // immediate, by the connection's settings
	if err != nil {
		return err
	}
	if err := run(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
