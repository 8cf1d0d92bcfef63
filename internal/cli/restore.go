package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
)

const restoreDetails = `
Puts a copy of a backup in the place of an SQLite store that no service holds: end
the service before, and start it again after. The backup is read as a whole first,
and a damaged one changes nothing. What was there stays beside it, with the files
that end in -wal and -shm, which would spoil the backup if they were left. All topics
get new versions, above those that open pages may show.

An export (jsonl) is restored by tallycast import.
`

const restoreExamples = `
Examples:
  tallycast restore --store sqlite:data/tallycast.db backup-2026-11-22.db
`

var restoreFlags = storeFileFlags

// restore is the subcommand restore.
func restore(p *process) int {
	path, err := p.storeFile("restore", "a Redis is restored from its own files, or from an export by tallycast import")
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	if len(p.args) != 1 {
		return fail(p.stderr, exitUsage, errors.New("name the backup, such as backup.db"))
	}
	m := p.meter("restore")
	done, err := sqlitestore.RestoreBackup(p.ctx, p.args[0], path, func(done, total int64) {
		m.total = total
		m.at(done, megabytes(done))
	})
	m.end()
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	newest := ""
	if !done.Newest.IsZero() {
		newest = ", the newest change of " + done.Newest.Format(time.DateTime)
	}
	fmt.Fprintf(p.stdout, "%s in %s%s.\n", counted(int(done.Topics), "topic"), path, newest)
	if done.Previous != "" {
		fmt.Fprintf(p.stdout, "What was there before is now %s.\n", done.Previous)
	}
	return exitOK
}
