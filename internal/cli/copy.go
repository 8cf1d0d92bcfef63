package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const copyDetails = `
Copies all topics, seeds and contributions, who is blocked and former names from
one store to another, and reads both again to compare them. A store that is new
takes over the secret of the one that is copied, so that visitors are known
again; one with another secret is refused. The source may be in use: what
changes meanwhile is named, and copying again brings it over. An SQLite file
that is copied to must not be held by a service.

The exit code is 0 when nothing differs that was copied, 3 when that is so and the
source changed meanwhile, and 1 when something is missing.
`

const copyExamples = `
Examples:
  tallycast copy --from sqlite:data/tallycast.db --to redis://localhost:6379/0
      From one machine to many; then start them with --store redis://…

  tallycast copy --from redis://localhost:6379/0 --to sqlite:data/tallycast.db
      And back.
`

var copyFlags = slices.Concat([]config.Setting{
	{Name: "from", Value: "URL", Help: "The store that is copied, in the forms of serve's --store."},
	{Name: "to", Value: "URL", Help: "The store that it is copied to."},
	{Name: "mode", Value: "WORD", Default: "merge", Help: "merge unites contributions with what is there; replace puts topics in the place of those there."},
	{Name: "scope", Value: "SITE/METRIC/KEYS", Help: "Only this: a site, a metric of it, and keys that begin so."},
}, storeFlags)

// exitChanged is the exit code of a copy that is whole, of a source that is another by
// now: whoever moves for good copies until it is 0.
const exitChanged = 3

// maxNamed is how many topics a message names.
const maxNamed = 20

// copyStore is the subcommand copy.
func copyStore(p *process) int {
	r := p.reader(copyFlags)
	from, to := config.Read(r, "from", config.ParseStore), config.Read(r, "to", config.ParseStore)
	replace := config.Read(r, "mode", config.ParseChoice("merge", "replace")) == "replace"
	scope := config.Read(r, "scope", parseScope)
	switch none := (config.StoreURL{}); {
	case len(r.Problems) > 0:
		return fail(p.stderr, exitUsage, r.Problems.Err())
	case len(p.args) > 0 || from == none || to == none:
		return fail(p.stderr, exitUsage, errors.New("name two stores, such as --from sqlite:data/tallycast.db --to redis://localhost:6379/0"))
	case from == to:
		return fail(p.stderr, exitUsage, errors.New("--from and --to are the same store"))
	}
	stores, err := p.directStores()
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	fmt.Fprintf(p.stderr, "from: %s\nto: %s\n", printable(from.Name()), printable(to.Name()))
	copied, err := p.copyStore(stores, from, to, scope, replace)
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	return p.tellCopied(copied, replace)
}

func (p *process) copyStore(stores directStores, from, to config.StoreURL, scope tally.Scope, replace bool) (copied transfer.CopyReport, err error) {
	source, closeSource, err := stores.read(p.ctx, from)
	if err != nil {
		return copied, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	secret, err := source.Secret()
	if err != nil {
		return copied, err
	}
	target, err := stores.write(p.ctx, to, secret)
	if err != nil {
		return copied, fmt.Errorf("%w (the source's secret has the fingerprint %s)", err, tally.NewHasher(secret).Fingerprint())
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := differ(p.ctx, source, target); err != nil {
		return copied, err
	}
	meters := map[string]*meter{}
	total := int64(0)
	if server.IsTerminal(p.stderr) {
		total = sumOf(p.ctx, source, scope)
	}
	copied, err = transfer.Copy(p.ctx, source, target, stores.catalog, scope, replace, func(step string, done transfer.Progress) {
		m := meters[step]
		if m == nil {
			m = p.meter(step)
			m.total = total
			meters[step] = m
		}
		m.at(done.Contributions, fmt.Sprintf("%s topics, %s contributions, %s", thousands(done.Topics), thousands(done.Contributions), m.rate(max(done.Topics, done.Contributions))))
	})
	for _, m := range meters {
		m.end()
	}
	if copied.Topics+copied.Contributions+copied.Settings == 0 {
		return copied, err
	}
	detail := fmt.Sprintf("%s, %s and %s", counted(int(copied.Topics), "topic"), counted(int(copied.Contributions), "contribution"), counted(int(copied.Settings), "order"))
	if err != nil {
		detail += ", cut off"
	}
	return copied, errors.Join(err, target.AppendAudit(p.carriedThrough(), tally.AuditEntry{
		At: time.Now(), Actor: "tallycast copy", Action: "import", Target: "from " + from.Name(), Detail: detail,
	}))
}

// differ refuses two names of one store: a topic that took its own place while it is
// read would lose what is not read yet.
func differ(ctx context.Context, source transfer.Source, target server.Store) (err error) {
	mark := "copying " + rand.Text() // an entry that is no setting
	if err := target.SetSetting(ctx, mark, "begins"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.SetSetting(context.WithoutCancel(ctx), mark, "")) }()
	register, err := source.Settings(ctx)
	if err == nil && register[mark] != "" {
		err = errors.New("--from and --to are the same store, by two names")
	}
	return err
}

// tellCopied says what was copied and what differs, and returns the exit code.
func (p *process) tellCopied(copied transfer.CopyReport, replace bool) int {
	fmt.Fprintf(p.stdout, "%s and %s copied.\n", counted(int(copied.Topics), "topic"), counted(int(copied.Contributions), "contribution"))
	var differ, more []transfer.Difference
	for _, d := range copied.Differences {
		if d.TargetHasMore && copied.TargetHadTopics && !replace {
			more = append(more, d)
		} else {
			differ = append(differ, d)
		}
	}
	if len(more) > 0 {
		fmt.Fprintf(p.stdout, "%s held something before and hold more now:\n", counted(len(more), "topic"))
		p.nameDifferences(more)
	}
	if len(copied.ChangedInSource) > 0 {
		fmt.Fprintf(p.stdout, "%s changed in the source meanwhile; copying again brings that over:\n", counted(len(copied.ChangedInSource), "topic"))
		for i, topic := range copied.ChangedInSource {
			if i == maxNamed {
				fmt.Fprintf(p.stdout, "  and %d more\n", len(copied.ChangedInSource)-i)
				break
			}
			fmt.Fprintf(p.stdout, "  %s\n", printable(topic.String()))
		}
	}
	if len(differ) > 0 {
		fmt.Fprintf(p.stdout, "%s not the same in both stores:\n", counted(len(differ), "topic"))
		p.nameDifferences(differ)
		return exitFailure
	}
	if len(more) == 0 {
		fmt.Fprintln(p.stdout, "Compared: both stores hold the same of them.")
	}
	if len(copied.ChangedInSource) > 0 {
		return exitChanged
	}
	return exitOK
}

func (p *process) nameDifferences(differences []transfer.Difference) {
	for i, d := range differences {
		if i == maxNamed {
			fmt.Fprintf(p.stdout, "  and %d more\n", len(differences)-i)
			return
		}
		fmt.Fprintf(p.stdout, "  %s  %s\n", printable(d.Topic.String()), d.Detail)
	}
}
