package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const backupDetails = `
The backup contains everything that was acknowledged before it began, the secret
included. The file gets the name FILE when it is complete; the command then verifies it.
To restore, stop the service, run tallycast restore FILE, and start the service.

A Redis makes its own backups. For a Redis the command prints which settings to use.
`

const backupExamples = `
Examples:
  tallycast backup --store sqlite:data/tallycast.db backup-$(date +%F).db
`

// redisBackup is the advice of backup for a Redis.
const redisBackup = `a Redis makes its own backups:
  appendonly yes             acknowledged writes survive a crash,
  appendfsync everysec       except those of the last second; always: all of them
  save 3600 1                a snapshot (dump.rdb) each hour, to be copied elsewhere
  maxmemory-policy noeviction
and "redis-cli --rdb FILE" takes a snapshot now. An export that was written with
"tallycast export --with-secret" can be imported into Redis and into SQLite`

// storeFileFlags name the SQLite store of a command.
var storeFileFlags = slices.Concat([]config.Setting{
	{Name: "store", Group: config.GroupStore, Value: "URL", Default: "sqlite:data/tallycast.db", Help: "The store, a URL as for serve. It must be an SQLite file."},
}, []config.Setting{config.FileSetting})

// forceFlag is a flag of all commands that write a file.
func forceFlag(force *bool) config.Setting {
	return config.Setting{Name: "force", Parse: config.Into(force, config.ParseBool), Help: "Replace FILE if it exists."}
}

// backupCommand copies an SQLite store.
type backupCommand struct {
	force bool // replace an existing file
}

func (c *backupCommand) flags() []config.Setting {
	return append([]config.Setting{forceFlag(&c.force)}, storeFileFlags...)
}

func (c *backupCommand) run(p *process) error {
	path, err := p.storeFile("backup", redisBackup)
	if err == nil {
		err = checkFile(path)
	}
	if err != nil {
		return err
	}
	to := p.args[0]
	m := p.meter("backup")
	err = sqlitestore.Backup(p.ctx, path, to, c.force, func(done, total int64) {
		m.total = total
		m.at(done, megabytes(done))
	})
	m.end()
	if err != nil {
		return adviseForce(err)
	}
	totals, err := p.readBackup(to)
	if err != nil {
		return fmt.Errorf("the backup was written, but it cannot be read: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s in %s.\n", totalsText(totals), to)
	return nil
}

// adviseForce adds advice to the error of an existing file.
func adviseForce(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; --force replaces it", err)
	}
	return err
}

// readBackup reads the whole backup and returns its totals.
func (p *process) readBackup(path string) (totals transfer.Totals, err error) {
	catalog := tally.NewOpenCatalog(tally.DefaultMetrics())
	reader, err := sqlitestore.OpenReader(p.ctx, path, catalog)
	if err != nil {
		return totals, err
	}
	m := p.meter("verify")
	defer func() {
		m.end()
		err = errors.Join(err, reader.Close())
		// SQLite leaves an empty log and its index after reading.
		for _, suffix := range []string{"-wal", "-shm"} {
			_ = os.Remove(path + suffix)
		}
	}()
	err = reader.Dump(p.ctx, tally.Scope{}, func(portion tally.Portion) error {
		if portion.Last {
			totals.Topics++
		}
		totals.Contributions += int64(len(portion.Contributions))
		m.at(totals.Contributions, thousands(totals.Contributions)+" contributions")
		return nil
	})
	return totals, err
}
