package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const copyDetails = `
Copies all topics, seeds, contributions, blocks and aliases, then reads both stores
and compares them. A new store takes over the secret of the source, so that visitors are
recognised; a store with another secret is refused. The source may be in use: topics that
change during the copy are listed, and another copy brings their changes. A target SQLite
file must not be in use by a service.

The exit code is 0 if the target has everything, 3 if it lacks only changes that were made
to the source during the copy, and 1 if anything else differs.
`

const copyExamples = `
Examples:
  tallycast copy --from sqlite:data/tallycast.db --to redis://localhost:6379/0
      From one machine to many; then start them with --store redis://…

  tallycast copy --from redis://localhost:6379/0 --to sqlite:data/tallycast.db
      And back.
`

// copyCommand copies one store to another.
type copyCommand struct {
	from, to config.StoreURL
	mode     string
	scope    tally.Scope
}

func (c *copyCommand) flags() []config.Setting {
	return slices.Concat([]config.Setting{
		{Name: "from", Value: "URL", Parse: config.Into(&c.from, config.ParseStore), Help: "The source, a URL as for serve --store."},
		{Name: "to", Value: "URL", Parse: config.Into(&c.to, config.ParseStore), Help: "The target."},
		{Name: "mode", Value: "WORD", Default: "merge", Parse: config.Into(&c.mode, config.ParseChoice("merge", "replace")),
			Help: "merge unites contributions with those of the target; replace replaces its topics."},
		scopeFlag(&c.scope),
	}, storeFlags)
}

// exitChanged is the exit code of a copy whose source changed during the copy. Another copy
// transfers the changes.
const exitChanged = 3

// maxListed is how many topics a message lists.
const maxListed = 20

func (c *copyCommand) run(p *process) error {
	switch none := (config.StoreURL{}); {
	case c.from == none || c.to == none:
		return usagef("name two stores, such as --from sqlite:data/tallycast.db --to redis://localhost:6379/0")
	case c.from == c.to:
		return usagef("--from and --to are the same store")
	}
	opener, err := p.storeOpener()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "from: %s\nto: %s\n", printable(c.from.Name()), printable(c.to.Name()))
	report, err := c.copy(p, opener)
	if err != nil {
		return err
	}
	return c.print(p.stdout, report)
}

func (c *copyCommand) copy(p *process, opener storeOpener) (report transfer.CopyReport, err error) {
	source, closeSource, err := opener.read(p.ctx, c.from)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	secret, err := source.Secret()
	if err != nil {
		return report, err
	}
	target, err := opener.connect(p.ctx, c.to, secret, false)
	if err != nil {
		return report, fmt.Errorf("%w (the source's secret has the fingerprint %s)", err, tally.NewHasher(secret).Fingerprint())
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := checkDistinct(p.ctx, source, target); err != nil {
		return report, err
	}
	m, total := &meter{}, int64(0) // each step has its own meter
	if server.IsTerminal(p.stderr) {
		total = totalContributions(p.ctx, source, c.scope)
	}
	report, err = transfer.Copy(p.ctx, source, target, opener.catalog, transfer.CopyOptions{Scope: c.scope, Replace: c.mode == "replace", OnProgress: func(step string, done transfer.Totals) {
		if step != m.what {
			m.end()
			m = p.meter(step)
		}
		m.total = total
		m.at(done.Contributions, m.progress(done))
	}})
	m.end()
	target.Broadcast(owner.SettingsChanged()) // to instances that share the target
	if report.Topics+report.Contributions+report.Settings == 0 {
		return report, err
	}
	detail := fmt.Sprintf("%s, %s and %s", counted(report.Topics, "topic"), counted(report.Contributions, "contribution"), counted(report.Settings, "setting"))
	if err != nil {
		detail += ", incomplete"
	}
	return report, errors.Join(err, target.AppendAudit(context.WithoutCancel(p.ctx), tally.AuditEntry{
		At: time.Now(), Actor: "tallycast copy", Action: "import", Target: "from " + c.from.Name(), Detail: detail,
	}))
}

// checkDistinct returns an error if source and target are one store with two names. Replacing a
// topic that is being read would lose the part that was not read yet.
func checkDistinct(ctx context.Context, source tally.SettingsReader, target tally.SettingsStore) (err error) {
	name := "copying " + rand.Text() // a name of its own
	if err := tally.SetSetting(ctx, target, name, "begins"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tally.SetSetting(context.WithoutCancel(ctx), target, name, "")) }()
	settings, err := source.Settings(ctx, name)
	if err == nil && settings[name] != "" {
		err = errors.New("--from and --to are one store with two names")
	}
	return err
}

// print prints what was copied and what differs, and returns an [exitStatus] unless both
// stores are equal.
func (c *copyCommand) print(out io.Writer, report transfer.CopyReport) error {
	fmt.Fprintf(out, "%s and %s copied.\n", counted(report.Topics, "topic"), counted(report.Contributions, "contribution"))
	var different, more, changed []string
	for _, d := range report.Differences {
		line := d.Topic.String() + "  " + d.Detail
		if d.TargetHasMore && report.TargetHadTopics && c.mode == "merge" {
			more = append(more, line)
		} else {
			different = append(different, line)
		}
	}
	for _, topic := range report.ChangedInSource {
		changed = append(changed, topic.String())
	}
	printTopics(out, "had data in the target before the copy; the target now has more than the source", more)
	printTopics(out, "changed in the source during the copy; copy again to transfer the changes", changed)
	printTopics(out, "with differences between the stores", different)
	switch {
	case len(different) > 0:
		return exitStatus(exitFailure)
	case len(more) == 0:
		fmt.Fprintln(out, "Both stores have the same data of these topics.")
	}
	if len(changed) > 0 {
		return exitStatus(exitChanged)
	}
	return nil
}

// printTopics prints the number of topics, which property they share, and the first lines, of which
// each is about one topic. It prints nothing without lines.
func printTopics(out io.Writer, property string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "%s %s:\n", counted(int64(len(lines)), "topic"), property)
	for _, line := range lines[:min(len(lines), maxListed)] {
		fmt.Fprintf(out, "  %s\n", printable(line))
	}
	if n := len(lines) - maxListed; n > 0 {
		fmt.Fprintf(out, "  and %d more\n", n)
	}
}
