package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const copyDetails = `
Copies all topics, seeds, contributions, blocks and former names from one store to
another, then reads both and compares them. A new store takes over the secret of the
source, so that visitors are recognised; a store with another secret is refused. The
source may be in use: topics that change meanwhile are listed, and copying again brings
them over. A target SQLite file must not be in use by a service.

The exit code is 0 if the target has everything, 3 if it lacks only changes that the
source got meanwhile, and 1 if anything else differs.
`

const copyExamples = `
Examples:
  tallycast copy --from sqlite:data/tallycast.db --to redis://localhost:6379/0
      From one machine to many; then start them with --store redis://…

  tallycast copy --from redis://localhost:6379/0 --to sqlite:data/tallycast.db
      And back.
`

var copyFlags = slices.Concat([]config.Setting{
	{Name: "from", Value: "URL", Help: "The source, in the forms of serve's --store."},
	{Name: "to", Value: "URL", Help: "The target."},
	{Name: "mode", Value: "WORD", Default: "merge", Help: "merge unites contributions with those of the target; replace replaces its topics."},
	scopeFlag,
}, storeFlags)

// exitChanged is the exit code of a complete copy whose source changed meanwhile. To move
// for good, copy until it is 0.
const exitChanged = 3

// maxListed is how many topics a message lists.
const maxListed = 20

func copyStore(p *process) error {
	r := p.reader(copyFlags)
	from, to := config.Read(r, "from", config.ParseStore), config.Read(r, "to", config.ParseStore)
	replace := config.Read(r, "mode", config.ParseChoice("merge", "replace")) == "replace"
	scope := config.Read(r, "scope", parseScope)
	switch none := (config.StoreURL{}); {
	case len(r.Problems) > 0:
		return usageError{r.Problems.Err()}
	case len(p.args) > 0 || from == none || to == none:
		return usagef("name two stores, such as --from sqlite:data/tallycast.db --to redis://localhost:6379/0")
	case from == to:
		return usagef("--from and --to are the same store")
	}
	opener, err := p.storeOpener()
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintf(p.stderr, "from: %s\nto: %s\n", printable(from.Name()), printable(to.Name()))
	report, err := p.copyStore(opener, from, to, scope, replace)
	if err != nil {
		return err
	}
	return p.printCopy(report, replace)
}

func (p *process) copyStore(opener storeOpener, from, to config.StoreURL, scope tally.Scope, replace bool) (report transfer.CopyReport, err error) {
	source, closeSource, err := opener.read(p.ctx, from)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	secret, err := source.Secret()
	if err != nil {
		return report, err
	}
	target, err := opener.create(p.ctx, to, secret)
	if err != nil {
		return report, fmt.Errorf("%w (the source's secret has the fingerprint %s)", err, tally.NewHasher(secret).Fingerprint())
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := checkDistinct(p.ctx, source, target); err != nil {
		return report, err
	}
	meters := map[string]*meter{}
	total := int64(0)
	if server.IsTerminal(p.stderr) {
		total = totalContributions(p.ctx, source, scope)
	}
	report, err = transfer.Copy(p.ctx, source, target, opener.catalog, transfer.CopyOptions{Scope: scope, Replace: replace, OnProgress: func(step string, done transfer.Progress) {
		m := meters[step]
		if m == nil {
			m = p.meter(step)
			m.total = total
			meters[step] = m
		}
		m.at(done.Contributions, fmt.Sprintf("%s topics, %s contributions, %s", thousands(done.Topics), thousands(done.Contributions), m.rate(max(done.Topics, done.Contributions))))
	}})
	for _, m := range meters {
		m.end()
	}
	target.Broadcast(owner.SettingsChanged()) // to instances that share the target
	if report.Topics+report.Contributions+report.Settings == 0 {
		return report, err
	}
	detail := fmt.Sprintf("%s, %s and %s", counted(int(report.Topics), "topic"), counted(int(report.Contributions), "contribution"), counted(int(report.Settings), "setting"))
	if err != nil {
		detail += ", incomplete"
	}
	return report, errors.Join(err, target.AppendAudit(context.WithoutCancel(p.ctx), tally.AuditEntry{
		At: time.Now(), Actor: "tallycast copy", Action: "import", Target: "from " + from.Name(), Detail: detail,
	}))
}

// checkDistinct returns an error if both are the same store by two names: replacing a topic
// while it is read would lose the part that is not read yet.
func checkDistinct(ctx context.Context, source tally.SettingsStore, target tally.SettingsStore) (err error) {
	name := "copying " + rand.Text() // no other setting has this name
	if err := target.SetSetting(ctx, name, "begins"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.SetSetting(context.WithoutCancel(ctx), name, "")) }()
	settings, err := source.Settings(ctx)
	if err == nil && settings[name] != "" {
		err = errors.New("--from and --to are the same store, by two names")
	}
	return err
}

// printCopy prints what was copied and what differs, and returns an [exitStatus] unless both are equal.
func (p *process) printCopy(report transfer.CopyReport, replace bool) error {
	fmt.Fprintf(p.stdout, "%s and %s copied.\n", counted(int(report.Topics), "topic"), counted(int(report.Contributions), "contribution"))
	var different, more []transfer.Difference
	for _, d := range report.Differences {
		if d.TargetHasMore && report.TargetHadTopics && !replace {
			more = append(more, d)
		} else {
			different = append(different, d)
		}
	}
	if len(more) > 0 {
		fmt.Fprintf(p.stdout, "%s held something before and hold more now:\n", counted(len(more), "topic"))
		p.listDifferences(more)
	}
	if changed := report.ChangedInSource; len(changed) > 0 {
		fmt.Fprintf(p.stdout, "%s changed in the source meanwhile; copying again brings that over:\n", counted(len(changed), "topic"))
		for _, topic := range changed[:min(len(changed), maxListed)] {
			fmt.Fprintf(p.stdout, "  %s\n", printable(topic.String()))
		}
		p.printMore(len(changed))
	}
	if len(different) > 0 {
		fmt.Fprintf(p.stdout, "%s not the same in both stores:\n", counted(len(different), "topic"))
		p.listDifferences(different)
		return exitStatus(exitFailure)
	}
	if len(more) == 0 {
		fmt.Fprintln(p.stdout, "Compared: both stores hold the same of them.")
	}
	if len(report.ChangedInSource) > 0 {
		return exitStatus(exitChanged)
	}
	return nil
}

func (p *process) listDifferences(differences []transfer.Difference) {
	for _, d := range differences[:min(len(differences), maxListed)] {
		fmt.Fprintf(p.stdout, "  %s  %s\n", printable(d.Topic.String()), d.Detail)
	}
	p.printMore(len(differences))
}

// printMore prints how many of n topics are not listed.
func (p *process) printMore(n int) {
	if n > maxListed {
		fmt.Fprintf(p.stdout, "  and %d more\n", n-maxListed)
	}
}
