package cli

import (
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
)

const restoreDetails = `
Replaces an SQLite store with a copy of a backup. Stop the service before, and start it
again afterwards. The command reads the whole backup first; if it is damaged, nothing
changes. The replaced store stays beside the new one, with its files that end in -wal and
-shm. All topics get new versions, higher than those on open pages.

An export (jsonl) is restored by tallycast import.
`

const restoreExamples = `
Examples:
  tallycast restore --store sqlite:data/tallycast.db backup-2026-11-22.db
`

func restore(p *process) error {
	path, err := p.storeFile("restore", "a Redis is restored from its own files, or from an export by tallycast import")
	if err != nil {
		return err
	}
	m := p.meter("restore")
	done, err := sqlitestore.RestoreBackup(p.ctx, p.args[0], path, func(done, total int64) {
		m.total = total
		m.at(done, megabytes(done))
	})
	m.end()
	if err != nil {
		return err
	}
	newest := ""
	if !done.Newest.IsZero() {
		newest = ", the newest change of " + done.Newest.Format(time.DateTime)
	}
	fmt.Fprintf(p.stdout, "%s in %s%s.\n", counted(done.Topics, "topic"), path, newest)
	if done.Previous != "" {
		fmt.Fprintf(p.stdout, "The replaced store is now %s.\n", done.Previous)
	}
	return nil
}
