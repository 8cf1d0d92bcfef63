package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/tallycast/tallycast/internal/seed"
	"github.com/tallycast/tallycast/internal/tally"
)

const seedDetails = `
A seed is what a topic's count begins with, beside what visitors contribute: it
never overwrites a like. In a folder each page's frontmatter (YAML between lines ---,
TOML between +++, a JSON object, keywords of Org) gives the seeds, and the page's
path its key: posts/hello.md and posts/hello/index.md are posts/hello, as the widgets
call the page. With --key-from hugo, jekyll or astro it is the key of the page that the
site generator makes. A table (.csv, .tsv) has columns of these names, or topic and count; a
document (.json) is {"hello": 12}, a list of objects with these fields, or an answer of
the service. All may be UTF-8 or UTF-16.

A number is accepted only if there is one way to read it: 2000, 2,000,000, 2 000 and
2.0 are, 2.000 (2 or 2000) and 0042 (42 or 34) are not. Files of a folder that are no
pages are listed in one message.

What cannot be read is named by file, line and reason, and the rest goes on; the
exit code is 1 then. Run again, it changes what changed. It asks a running service,
or works on a store that no service holds with --store.
`

const seedExamples = `
Examples:
  tallycast seed --dry-run --site blog content/
      What would change, as a table.

  tallycast seed --site blog --field likes=likes --field claps=params.applause content/
      Two metrics, each from its field.

  tallycast seed --key-from hugo --sitemap public/sitemap.xml content/
      The keys of Hugo's pages, compared with those of the built site.

  tallycast seed --store sqlite:data/tallycast.db likes.csv
      Before the first start: a table with the columns slug and likes, or topic and count.
`

// What seed and serve --seed-from have in common, where serve's names begin with
// seed-.
const (
	fieldHelp   = "Which field holds the seed of which metric; a dot leads into a table: claps=params.applause. Repeatable."
	keyFromHelp = "Where a page's key comes from: path, slug, permalink, hugo (or hugo@0.111), jekyll, astro or the name of a field. The generators' rules are applied with the settings of the site around the folder."
	stripHelp   = "Taken from the beginning of keys, such as posts."
	addHelp     = "Put before keys, such as blog."
)

var seedFlags = slices.Concat([]definition{
	{name: "site", takes: "NAME", fallback: tally.DefaultSite, help: "The site of the topics."},
	{name: "field", takes: "METRIC=FIELD", fallback: "likes=likes", repeatable: true, help: fieldHelp},
	{name: "key-from", takes: "WORD", fallback: seed.FromPath, help: keyFromHelp},
	{name: "strip-prefix", takes: "PATH", help: stripHelp},
	{name: "add-prefix", takes: "PATH", help: addHelp},
	{name: "sitemap", takes: "URL|FILE", repeatable: true, help: "A site map, to warn of keys that no page in it has; the service's own is compared in any case. Repeatable."},
	{name: "dry-run", help: "Change nothing; show a table of what would change."},
	{name: "store", group: groupDirect, takes: "URL", help: "Work straight on this store, in the forms of serve, instead of asking a service: an SQLite file that none holds, or a Redis."},
}, adminFlags, storeFlags)

// seedTopics is the subcommand seed.
func seedTopics(p *process) int {
	r := &reader{values: layer(seedFlags, p.flags, p.env, configFile{})}
	rules := r.readRules("")
	dry := one(r, "dry-run", parseBool)
	sitemaps := many(r, "sitemap", parseSitemapPlaces)
	if len(r.problems) > 0 {
		return refuse(p.stderr, r.problems)
	}
	if len(p.args) == 0 {
		return fail(p.stderr, exitUsage, errors.New("name at least one folder or file, such as content/"))
	}
	bench, err := p.seedbed(rules, dry)
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	defer bench.close()
	known, err := p.readSitemaps(sitemaps)
	if err != nil {
		return fail(p.stderr, exitFailure, fmt.Errorf("the site map cannot be read: %w", err))
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
	done, err := sow(p.ctx, bench, found.Seeds, dry)
	if err := (report{found, done, dry}).write(p.stdout); err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	if err != nil {
		return fail(p.stderr, exitFailure, fmt.Errorf("%w; what was set stays, and running this again does the rest", err))
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
		return exitFailure
	}
	return exitOK
}

// readRules reads the flags that say which topic a number belongs to; prefix begins
// their names.
func (r *reader) readRules(prefix string) seed.Rules {
	rules := seed.Rules{
		Site:        one(r, prefix+"site", parseSiteName),
		Fields:      many(r, prefix+"field", parseFields),
		KeyFrom:     one(r, prefix+"key-from", seed.ParseKeyFrom),
		StripPrefix: one(r, prefix+"strip-prefix", parseKeyPrefix),
		AddPrefix:   one(r, prefix+"add-prefix", parseKeyPrefix),
	}
	if len(r.problems) == 0 {
		if err := rules.Validate(); err != nil {
			r.refuse(prefix+"field", err)
		}
	}
	return rules
}

func parseSiteName(text string) (string, error) {
	if !tally.ValidSite(text) {
		return "", fmt.Errorf("%q should be the name of a site, such as blog", text)
	}
	return text, nil
}

func parseFields(items []string) (fields []seed.Field, err error) {
	var problems []error
	for _, item := range items {
		field, err := seed.ParseField(item)
		if err != nil {
			problems = append(problems, err)
		}
		fields = append(fields, field)
	}
	return fields, errors.Join(problems...)
}

// parseKeyPrefix reads the beginning of a key.
func parseKeyPrefix(text string) (string, error) {
	const site, metric = "default", "likes" // any
	if _, err := tally.NewTopic(site, metric, text+"/x"); err != nil {
		return "", fmt.Errorf("%q should be the beginning of a key, such as posts: %s", text, tally.AsError(err).Message)
	}
	return text, nil
}

// sown is what became of a seed.
type sown struct {
	seed.Seed
	before  int64 // the seed that was there
	changed bool  // or would have been
	// unlisted says that the service knows a site map that lacks the key.
	unlisted bool
	err      error // why nothing became of it
}

// seedbed is where seeds are put: a running service, or a store.
type seedbed interface {
	// sow sets the seeds, at most [seedPortion] at once, or says what that would
	// change. Repeating it changes nothing.
	sow(ctx context.Context, seeds []seed.Seed, preview bool) ([]sown, error)
	close()
}

// seedPortion is how many seeds one call carries: what the service takes.
const seedPortion = 1000

// sow sets seeds, and returns what became of those it came to.
func sow(ctx context.Context, bed seedbed, seeds []seed.Seed, preview bool) (done []sown, err error) {
	for portion := range slices.Chunk(seeds, seedPortion) {
		some, err := bed.sow(ctx, portion, preview)
		if err != nil {
			return done, err
		}
		done = append(done, some...)
	}
	return done, nil
}

// report tells people what seeding did, or would do.
type report struct {
	found seed.Result
	done  []sown
	dry   bool
}

func (r report) write(out io.Writer) error {
	changed := 0
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, each := range r.done {
		if !each.changed {
			continue
		}
		if changed++; r.dry {
			if changed == 1 {
				fmt.Fprint(table, "TOPIC\tSEED\tWOULD BE\tFROM\n")
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%s:%d\n", printable(each.Topic.String()), each.before, each.Count, printable(each.File), each.Line)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.dry && changed > 0 {
		fmt.Fprintln(out)
	}
	verb := "changed"
	if r.dry {
		verb = "would change"
	}
	_, err := fmt.Fprintf(out, "%s with a seed in %s; %d %s.\n", counted(len(r.found.Seeds), "topic"), counted(r.found.Files, "file"), changed, verb)
	return err
}

// counted writes "1 file" and "2 files".
func counted(n int, what string) string { return tally.Quantity(n, what) }
