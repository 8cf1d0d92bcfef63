package cli

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/tally"
)

const seedDetails = `
A seed is the initial count of a topic. Contributions of visitors are added to it, and
setting a seed never overwrites them. A second run sets only the seeds that changed.

In a folder each page's frontmatter (YAML between lines ---, TOML between +++, a JSON
object, keywords of Org) gives the seeds, and the page's path gives its key:
posts/hello.md and posts/hello/index.md are posts/hello, as for the elements. With
--key-from hugo, jekyll or astro the key is that of the page that the site generator
makes. A table (.csv, .tsv) has columns of the fields' names, or topic and count. A
document (.json) is {"hello": 12}, a list of objects with these fields, or a response of
the service. All may be UTF-8 or UTF-16.

A number must have one possible meaning: 2000, 2,000,000, 2 000 and 2.0 are accepted;
2.000 (2 or 2000) and 0042 (42 or 34) are not. An entry that cannot be read is reported
with its file, line and the reason. The others are seeded, and the exit code is 1.
`

const seedExamples = `
Examples:
  tallycast seed --dry-run --site blog content/
      Show what would change, as a table.

  tallycast seed --site blog --field likes=likes --field claps=params.applause content/
      Two metrics, each from its own field.

  tallycast seed --key-from hugo --sitemap public/sitemap.xml content/
      Keys of Hugo's pages, compared with the sitemap of the built site.

  tallycast seed --store sqlite:data/tallycast.db likes.csv
      Before the first start: a table with the columns slug and likes, or topic and count.
`

// seedCommand sets seeds.
type seedCommand struct {
	rules    seed.Rules
	sitemaps []string
	dry      bool
}

func (c *seedCommand) flags() []config.Setting {
	return slices.Concat(config.SeedSettings("", "", &c.rules), []config.Setting{
		{Name: "sitemap", Value: "URL|FILE", Repeatable: true, Parse: config.IntoEach(&c.sitemaps, parseSitemapPlace),
			Help: "Warn of keys that this sitemap does not have. The service also compares its own sitemap. Repeatable."},
		dryRunFlag(&c.dry),
	}, targetFlags)
}

func dryRunFlag(dry *bool) config.Setting {
	return config.Setting{Name: "dry-run", Parse: config.Into(dry, config.ParseBool), Help: "Change nothing; show a table of what would change."}
}

func (c *seedCommand) run(p *process) error {
	if err := c.rules.Validate(); err != nil {
		return usagef("--field: %w", err)
	}
	client, err := p.openClient(storeUse{command: "seed", sites: []string{c.rules.Site}, create: true, readOnly: c.dry})
	if err != nil {
		return usageError{err}
	}
	defer client.close()
	known, err := p.readSitemaps(c.sitemaps)
	if err != nil {
		return fmt.Errorf("the sitemap cannot be read: %w", err)
	}
	found := seed.NewFolder(c.rules, p.args...).Scan(p.ctx)
	for _, problem := range found.Problems {
		fmt.Fprintln(p.stderr, printable(problem.String()))
	}
	for _, note := range found.Notes {
		fmt.Fprintln(p.stderr, "note: "+printable(note.String()))
	}
	if skipped := found.Skipped(); skipped != "" {
		fmt.Fprintln(p.stderr, printable(skipped))
	}
	edits := make([]admin.SeedEdit, len(found.Seeds))
	for i, each := range found.Seeds {
		edits[i] = admin.SeedEdit{Topic: each.Topic.String(), Seed: tally.Numbers{Total: each.Count}}
	}
	m := p.meter("seed")
	results, err := client.setSeeds(p.ctx, edits, c.dry, m)
	m.end()
	if err := c.print(p.stdout, found, results); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w; the seeds that were set stay; run the command again to set the others", err)
	}
	warnUnlisted(p.stderr, found.Seeds, results, known)
	refused := len(found.Problems)
	for i, each := range results {
		if each.Error != nil {
			refused++
			at := found.Seeds[i]
			fmt.Fprintf(p.stderr, "%s:%d: %s: %s\n", printable(at.File), at.Line, printable(at.Topic.String()), printable(each.Error.Message))
		}
	}
	if refused > 0 {
		return exitStatus(exitFailure)
	}
	return nil
}

// print prints what seeding did, or would do.
func (c *seedCommand) print(out io.Writer, found seed.Result, results []admin.SeedResult) error {
	changed := 0
	t := newTable("TOPIC", "SEED", "WOULD BE", "FROM")
	for i, each := range results {
		if each.Changed {
			changed++
			at := found.Seeds[i]
			t.add(at.Topic.String(), fmt.Sprint(each.Before.Total), fmt.Sprint(at.Count), fmt.Sprintf("%s:%d", at.File, at.Line))
		}
	}
	if c.dry && changed > 0 {
		if err := t.write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	_, err := fmt.Fprintf(out, "%s with a seed in %s; %d %s.\n", counted(int64(len(found.Seeds)), "topic"), counted(int64(found.Files), "file"), changed, changedVerb(c.dry))
	return err
}

// changedVerb returns the verb for a number of changes, which a dry run did not make.
func changedVerb(dry bool) string {
	if dry {
		return "would change"
	}
	return "changed"
}

// readSitemaps returns the keys in the sitemaps at addresses, each a URL or a file of a
// built site; nil without any.
func (p *process) readSitemaps(addresses []string) (map[string]bool, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	version, _ := buildInfo()
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	all := map[string]bool{}
	for _, address := range addresses {
		keys, err := sitemap.Read(p.ctx, address, sitemap.Options{Agent: "tallycast/" + version, Log: log})
		if err != nil {
			return nil, err
		}
		maps.Copy(all, keys)
	}
	return all, nil
}

// warnUnlisted prints the seeds whose pages are not in the sitemap.
func warnUnlisted(out io.Writer, seeds []seed.Seed, results []admin.SeedResult, known map[string]bool) {
	unlisted := map[tally.Topic]bool{}
	for i, each := range seeds {
		key := each.Topic.Key()
		unlisted[each.Topic] = results[i].Unlisted || known != nil && !known[key] && key != "index" && key != "site"
	}
	for _, each := range seed.FindUnlisted(seeds, func(each seed.Seed) bool { return !unlisted[each.Topic] }) {
		verb := "are"
		if len(each.Missing) == 1 {
			verb = "is"
		}
		fmt.Fprintf(out, "%d of %s of the site %s %s not in the sitemap, so perhaps no page shows them: %s\n",
			len(each.Missing), counted(int64(each.Pages), "key"), printable(each.Site), verb, printable(strings.Join(each.Examples(), ", ")))
	}
}

// parseSitemapPlace parses the address of a sitemap, or the path of a file.
func parseSitemapPlace(item string) (string, error) {
	if u, err := url.Parse(item); err == nil && u.Scheme != "" && u.Host != "" {
		return config.ParseSitemap(item)
	}
	return item, nil
}
