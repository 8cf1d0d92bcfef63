package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/tally"
)

const seedDetails = `
A seed is the initial count of a topic. Contributions of visitors are added to it,
and setting a seed never overwrites them. In a folder each page's frontmatter (YAML
between lines ---, TOML between +++, a JSON object, keywords of Org) gives the seeds,
and the page's path gives its key: posts/hello.md and posts/hello/index.md are
posts/hello, as in the widgets. With --key-from hugo, jekyll or astro the key is that
of the page that the site generator makes. A table (.csv, .tsv) has columns of these
names, or topic and count. A document (.json) is {"hello": 12}, a list of objects with
these fields, or an answer of the service. All may be UTF-8 or UTF-16.

A number must have one possible meaning: 2000, 2,000,000, 2 000 and 2.0 are accepted;
2.000 (2 or 2000) and 0042 (42 or 34) are not. Files of a folder that are not pages
are listed in one message.

Entries that cannot be read are reported by file, line and reason. The others are
seeded, and the exit code is 1. A second run sets only the seeds that changed. The
command calls a running service, or works on a store that no service uses with --store.
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

var seedFlags = slices.Concat([]config.Setting{
	{Name: "site", Value: "NAME", Default: tally.DefaultSite, Help: "The site of the topics."},
	{Name: "field", Value: "METRIC=FIELD", Default: "likes=likes", Repeatable: true, Help: config.SeedFieldHelp},
	{Name: "key-from", Value: "WORD", Default: seed.FromPath, Help: config.SeedKeyFromHelp},
	{Name: "strip-prefix", Value: "PATH", Help: config.SeedStripPrefixHelp},
	{Name: "add-prefix", Value: "PATH", Help: config.SeedAddPrefixHelp},
	{Name: "sitemap", Value: "URL|FILE", Repeatable: true, Help: "A sitemap, to warn of keys that no page in it has. The service compares its own sitemap in any case. Repeatable."},
	dryRunFlag, storeFlag,
}, adminFlags, storeFlags)

var dryRunFlag = config.Setting{Name: "dry-run", Help: "Change nothing; show a table of what would change."}

func seedTopics(p *process) error {
	r := p.reader(seedFlags)
	rules := r.ReadSeedRules("")
	dry := config.Read(r, "dry-run", config.ParseBool)
	sitemaps := config.ReadList(r, "sitemap", parseSitemapPlaces)
	if len(r.Problems) > 0 {
		return configError{r.Problems}
	}
	if len(p.args) == 0 {
		return usagef("name at least one folder or file, such as content/")
	}
	client, err := p.openClient(localStore{command: "seed", sites: []string{rules.Site}, create: true, readOnly: dry})
	if err != nil {
		return usageError{err}
	}
	defer client.close()
	known, err := p.readSitemaps(sitemaps)
	if err != nil {
		return fmt.Errorf("the site map cannot be read: %w", err)
	}
	found := seed.NewFolder(rules, p.args...).Scan(p.ctx)
	for _, problem := range found.Problems {
		fmt.Fprintln(p.stderr, printable(problem.String()))
	}
	for _, note := range found.Notes {
		fmt.Fprintln(p.stderr, "note: "+printable(note.String()))
	}
	if skipped := found.Skipped(); skipped != "" {
		fmt.Fprintln(p.stderr, printable(skipped))
	}
	done, err := setSeeds(p.ctx, client, found.Seeds, dry)
	if err := printSeeds(p.stdout, found, done, dry); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w; what was set stays, and running this again does the rest", err)
	}
	warnUnlisted(p.stderr, done, known)
	refused := 0
	for _, each := range done {
		if each.err != nil {
			refused++
			fmt.Fprintf(p.stderr, "%s:%d: %s: %s\n", printable(each.File), each.Line, printable(each.Topic.String()), printable(each.err.Error()))
		}
	}
	if refused+len(found.Problems) > 0 {
		return exitStatus(exitFailure)
	}
	return nil
}

// seedResult is what became of a seed, or would.
type seedResult struct {
	seed.Seed
	before   int64 // the previous seed
	changed  bool
	unlisted bool  // the service knows a sitemap that does not have the key
	err      error // why the seed was refused
}

// seedBatch is how many seeds one call carries: the most that the service accepts.
const seedBatch = 1000

// setSeeds sets the seeds, or with preview returns what that would change. With an error
// it returns the results of the batches before.
func setSeeds(ctx context.Context, client *adminClient, seeds []seed.Seed, preview bool) (done []seedResult, err error) {
	for batch := range slices.Chunk(seeds, seedBatch) {
		edits := make([]seedEdit, len(batch))
		for i, each := range batch {
			edits[i] = seedEdit{each.Topic.String(), each.Count}
		}
		answers, err := client.setSeeds(ctx, edits, preview)
		if err != nil {
			return done, err
		}
		for i, each := range answers {
			result := seedResult{Seed: batch[i], before: each.Before, changed: each.Changed, unlisted: each.Unlisted}
			if each.Error != nil {
				result.err = errors.New(each.Error.Message)
			}
			done = append(done, result)
		}
	}
	return done, nil
}

// seedEdit is a seed as the admin API takes it, and seedAnswer what it did.
type (
	seedEdit struct {
		Topic string `json:"topic"`
		Seed  int64  `json:"seed"`
	}
	seedAnswer struct {
		Before   int64
		Changed  bool
		Unlisted bool
		Error    *refusal
	}
)

// setSeeds sets seeds and returns an answer for each.
func (c *adminClient) setSeeds(ctx context.Context, seeds []seedEdit, preview bool) ([]seedAnswer, error) {
	request := struct {
		Seeds   []seedEdit `json:"seeds"`
		Preview bool       `json:"preview"`
	}{seeds, preview}
	var answer struct{ Seeds []seedAnswer }
	if err := c.call(ctx, http.MethodPost, "/admin/v1/seeds", request, &answer); err != nil {
		return nil, err
	}
	if len(answer.Seeds) != len(seeds) {
		return nil, fmt.Errorf("%s answered %d of %d seeds", c.label, len(answer.Seeds), len(seeds))
	}
	return answer.Seeds, nil
}

// printSeeds prints what seeding did, or would do.
func printSeeds(out io.Writer, found seed.Result, done []seedResult, dry bool) error {
	changed := 0
	t := newTable("TOPIC", "SEED", "WOULD BE", "FROM")
	for _, each := range done {
		if each.changed {
			changed++
			t.add(each.Topic.String(), fmt.Sprint(each.before), fmt.Sprint(each.Count), fmt.Sprintf("%s:%d", each.File, each.Line))
		}
	}
	if dry && changed > 0 {
		if err := t.write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	_, err := fmt.Fprintf(out, "%s with a seed in %s; %d %s.\n", counted(len(found.Seeds), "topic"), counted(found.Files, "file"), changed, changedVerb(dry))
	return err
}

// changedVerb returns the verb for what changed, or would.
func changedVerb(dry bool) string {
	if dry {
		return "would change"
	}
	return "changed"
}

// counted writes "1 file" and "2 files".
func counted(n int, what string) string { return tally.Quantity(n, what) }

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
		for key := range keys {
			all[key] = true
		}
	}
	return all, nil
}

// warnUnlisted prints which seeds are of pages that are not in the sitemap.
func warnUnlisted(out io.Writer, done []seedResult, known map[string]bool) {
	var all, missing seed.Pages
	for _, each := range done {
		all.Add(each.Seed)
		key := each.Topic.Key()
		if each.unlisted || known != nil && !known[key] && key != "index" && key != "site" {
			missing.Add(each.Seed)
		}
	}
	bySite := missing.BySite()
	for site, seeds := range all.BySite() {
		if unlisted := bySite[site]; len(unlisted) > 0 {
			verb := "are"
			if len(unlisted) == 1 {
				verb = "is"
			}
			fmt.Fprintf(out, "%d of %s of the site %s %s not in the site map, so that no page may show them: %s\n",
				len(unlisted), counted(len(seeds), "key"), printable(site), verb, printable(strings.Join(seed.Examples(unlisted), ", ")))
		}
	}
}

// parseSitemapPlaces parses addresses of sitemaps, or paths of files.
func parseSitemapPlaces(items []string) ([]string, error) {
	for _, item := range items {
		if u, err := url.Parse(item); err == nil && u.Scheme != "" && u.Host != "" {
			if _, err := config.ParseSitemap(item); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}
