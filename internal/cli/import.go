package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const importDetails = `
Reads FILE, or standard input for -, which may be compressed (.gz). An export
(jsonl) is restored: merged with what is there, or topic by topic in its place
(--mode replace). It may be imported twice, and counts nobody twice; after a crash
run the import again. It is refused under another secret than it was made with; a
store that does not exist yet takes the secret from the file (export
--with-secret) or from --secret-file.

All else is plain counts, which become seeds, or what --as says: --as base where
pages name seeds of their own, which the old count includes and which would set
these again. Neither touches what was liked here. A run sets what its file says,
however often it is run: it does not add to the run before.

Formats:
  jsonl        what tallycast export writes
  csv          a table with the columns topic and count, or those that --columns
               names, separated by commas, semicolons or tabs
  json         [{"topic":"blog/likes/a","count":3}], or {"blog/likes/a":3}
  goatcounter  its JSON export (a zip file), or its CSV export (gzip)
  umami        website_event.csv or pages.csv, or a zip file with one of them
  applause     [{"url":"blog.example.com/a","claps":3}], or its DynamoDB table
  busuanzi     [{"url":"/a","page_pv":3}], or an answer of it
  redis        no file: --from and --pattern name keys that hold whole numbers

Text may be UTF-8 or UTF-16. A number is accepted only if there is one way to
read it: 2000, 2,000,000, 2 000 and 2.0 are, 2.000 (2 or 2000), 1,234 (1234 or a
fraction) and 0042 (42 or, in octal, 34) are not.

GoatCounter's JSON export counts visits, which become visitors; --take
visitors=views makes them views. A file with pages of several hosts needs --host.
Several --host add up in one run, such as www.example.com and example.com; the
second of two runs would replace what the first has set.

What cannot be read is named by file, line and reason, and the rest goes on; the
exit code is 1 then. --dry-run shows a table and changes nothing. It asks a
running service, or works on a store that no service holds with --store.
`

const importExamples = `
Examples:
  tallycast import --store sqlite:data/tallycast.db numbers.jsonl
      Restore an export, before the service is started.

  tallycast import --columns topic=path,count=views --topic 'blog/views/{1}' views.csv
      A table of any spreadsheet.

  tallycast import --topic 'blog/likes/{1}' likes.json
      Counts by page: {"/posts/hello/": 12}.

  tallycast import --format goatcounter --site blog goatcounter-export.zip
      Visitors by page.

  tallycast import --format umami --site blog --host example.com --host www.example.com website_event.csv
      Views and visitors by page, of both hosts together.

  tallycast import --format applause --site blog claps.json
  tallycast import --format busuanzi --site blog answers.json
      Claps by page; views and visitors by page.

  tallycast import --from redis://old:6379/0 --pattern 'adowise:blog:likes:*' \
      --topic 'blog/likes/{1}' --dry-run
      What a Redis with a number a page would become.

  tallycast import --from redis://old:6379/0 --pattern visitors:count --topic blog/visitors/site
      One key that counts the visitors of the whole site.
`

var importFlags = slices.Concat([]config.Setting{
	{Name: "format", Value: "FORM", Default: "auto", Help: "jsonl, csv, json, goatcounter, umami, applause or busuanzi; auto goes by the name of FILE and what is in a zip file, and is jsonl otherwise."},
	{Name: "mode", Value: "WORD", Default: "merge", Help: "For an export: merge or replace."},
	{Name: "as", Value: "WORD", Default: "seed", Help: "What a plain count becomes: seed, adjustment, base (what seed and adjustment add up to) or count (which takes in all that was liked here)."},
	{Name: "dry-run", Help: "Change nothing; show a table of what would change."},
	{Name: "store", Group: groupDirect, Value: "URL", Help: "Work straight on this store instead, in the forms of serve: an SQLite file that no service holds, or a Redis."},
	{Name: "site", Value: "NAME", Default: tally.DefaultSite, Help: "The site of the topics."},
	{Name: "take", Value: "FIGURE=METRIC", Repeatable: true, Help: "Take only these figures, for these metrics: views=views, visitors=visitors or claps=claps, whichever the format has. Repeatable."},
	{Name: "host", Value: "HOST", Repeatable: true, Help: "Take only pages of this host, if a file has several. Repeatable: hosts add up."},
	{Name: "website", Value: "ID", Repeatable: true, Help: "For umami: take only this website, by its website_id, if a file has several. Repeatable: websites add up."},
	{Name: "keep-query", Help: "Make a page of each query, where the widgets make one of all."},
	{Name: "columns", Value: "topic=COLUMN,count=COLUMN", Repeatable: true, Help: "For csv and json: which columns or members hold the topic and the count, if they are called otherwise."},
	{Name: "topic", Value: "TEMPLATE", Help: "Makes topics of names: blog/likes/{1}, where {1} is what the first * of --pattern matched, or what stands in the file."},
	{Name: "from", Value: "URL", Help: "The Redis whose keys are read: redis://HOST:PORT/DB or rediss://."},
	{Name: "pattern", Value: "KEYS", Help: "Keys that hold whole numbers, with a * for the page: 'adowise:blog:likes:*'; or one key."},
	{Name: "seen", Value: "KEYS", Help: "Keys that hold who was counted, with the same *: shown beside the counts, for comparison."},
}, adminFlags, storeFlags)

// importing is what the flags of import say.
type importing struct {
	format  string
	replace bool
	as      tally.EditKind
	dry     bool
	store   config.StoreURL // the zero value: the service is asked
	naming  importer.Mapping
	layout  importer.Layout
	path    string // - is standard input; empty with from

	from, pattern, topic, seen string
}

// kinds are what plain counts may become.
var kinds = map[string]tally.EditKind{"seed": tally.EditSeed, "adjustment": tally.EditAdjustment, "base": tally.EditBase, "count": tally.EditCount}

// importNumbers is the subcommand import.
func importNumbers(p *process) int {
	i, err := p.readImport()
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	if i.format == "auto" {
		if i.format = formatOf(i.path); i.format == unknownArchive {
			return fail(p.stderr, exitFailure, fmt.Errorf("%s: the archive holds no export of GoatCounter or Umami; unpack it and import what is in it", i.path))
		}
	}
	if err := i.checkFlags(p.flags); err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	b, err := p.backend(false)
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	if i.store = b.store; !b.isService() {
		p.printStore(b)
	}
	if i.format == "jsonl" {
		return p.importExport(i)
	}
	counts, err := p.findCounts(i)
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	return p.importCounts(i, counts)
}

func (p *process) readImport() (i importing, err error) {
	r := p.reader(importFlags)
	text := func(name string) string {
		return config.Read(r, name, func(text string) (string, error) { return text, nil })
	}
	i = importing{
		format:  config.Read(r, "format", config.ParseChoice("auto", "jsonl", "csv", "json", "goatcounter", "umami", "applause", "busuanzi")),
		replace: config.Read(r, "mode", config.ParseChoice("merge", "replace")) == "replace",
		as:      kinds[config.Read(r, "as", config.ParseChoice("seed", "adjustment", "base", "count"))],
		dry:     config.Read(r, "dry-run", config.ParseBool),
		from:    text("from"), pattern: text("pattern"), topic: text("topic"), seen: text("seen"),
	}
	i.naming = importer.Mapping{
		Site:      config.Read(r, "site", config.ParseSiteName),
		Metrics:   config.ReadList(r, "take", parseTaken),
		Hosts:     config.ReadList(r, "host", parseHosts),
		Websites:  config.ReadList(r, "website", func(items []string) ([]string, error) { return items, nil }),
		KeepQuery: config.Read(r, "keep-query", config.ParseBool),
	}
	i.layout = config.ReadList(r, "columns", importer.ParseColumns)
	switch {
	case len(r.Problems) > 0:
		return i, r.Problems.Err()
	case i.from != "" && len(p.args) > 0:
		return i, errors.New("--from reads the keys of a Redis, and takes no file")
	case i.from != "":
		i.format = "keys"
		return i, nil
	case len(p.args) != 1:
		return i, errors.New("name one file, or - for standard input")
	}
	i.path = p.args[0]
	return i, nil
}

// flagFormats names the formats of a flag that says what is counted where.
var flagFormats = map[string][]string{
	"host":    {"csv", "json", "goatcounter", "umami", "applause", "busuanzi", "keys"},
	"website": {"umami"},
	"columns": {"csv", "json"},
	"topic":   {"csv", "json", "keys"},
	"pattern": {"keys"},
	"seen":    {"keys"},
}

// checkFlags refuses flags that mean nothing for the format, since they would be
// ignored silently.
func (i importing) checkFlags(flags map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(flagFormats)) {
		formats := flagFormats[name]
		if _, given := flags[name]; !given || slices.Contains(formats, i.format) {
			continue
		}
		of := "the format is " + i.format
		if i.format == "keys" {
			of = "--from reads keys of a Redis"
		}
		return fmt.Errorf("--%s is for %s, and %s", name, strings.ReplaceAll(strings.Join(formats, ", "), "keys", "--from"), of)
	}
	return nil
}

// importExport restores an export.
func (p *process) importExport(i importing) int {
	input, err := p.openInput(i.path)
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	report, err := p.restore(i, input)
	err = errors.Join(err, input.close())
	if err != nil && report.Topics+report.Contributions+report.Refused == 0 {
		return fail(p.stderr, exitCode(err), err)
	}
	verb := "imported"
	if i.dry {
		verb = "would be imported"
	}
	fmt.Fprintf(p.stdout, "%s and %s %s", counted(int(report.Topics), "topic"), counted(int(report.Contributions), "contribution"), verb)
	fmt.Fprintf(p.stdout, "; %s refused.\n", counted(int(report.Refused), "line"))
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	if report.Refused > 0 {
		return exitFailure
	}
	return exitOK
}

// patience is how long an import waits for a store or a service that is away: longer
// than a failover or a restart.
const importPatience = time.Minute

func (p *process) restore(i importing, in *input) (report transfer.Report, err error) {
	m := p.meter("import")
	m.total = in.size
	defer m.end()
	options := transfer.ImportOptions{
		Replace:  i.replace,
		RetryFor: importPatience,
		OnRefusal: func(r transfer.Refusal) {
			m.end()
			fmt.Fprintf(p.stderr, "%s: %s\n", printable(i.path), printable(r.String()))
		},
		OnProgress: func(done transfer.Progress) {
			m.at(in.read, fmt.Sprintf("%s topics, %s contributions, %s", thousands(done.Topics), thousands(done.Contributions), m.rate(max(done.Topics, done.Contributions))))
		},
	}
	if i.dry {
		return transfer.Import(p.ctx, nowhere{}, in, options)
	}
	target, closeIt, err := p.importTarget(i, in, &options)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	report, err = transfer.Import(p.ctx, target, in, options)
	if direct, ok := target.(*directTarget); ok && report.Topics+report.Contributions+report.Settings > 0 {
		err = errors.Join(err, direct.audit(p.carriedThrough(), i, report))
	}
	return report, err
}

// importTarget opens what is imported into, and completes the options.
func (p *process) importTarget(i importing, in *input, options *transfer.ImportOptions) (transfer.Target, func() error, error) {
	if i.store == (config.StoreURL{}) {
		client, err := p.adminClient()
		if err != nil {
			return nil, nil, err
		}
		return &servedTarget{client: client}, func() error { client.close(); return nil }, nil
	}
	stores, err := p.directStores()
	if err != nil {
		return nil, nil, err
	}
	header, err := in.header()
	if err != nil {
		return nil, nil, err
	}
	secret := stores.Secret
	if secret == nil {
		secret = header.Secret
	}
	var s server.Store
	if secret == nil {
		s, err = stores.kept(p.ctx, i.store)
	} else {
		s, err = stores.write(p.ctx, i.store, secret)
	}
	if err != nil {
		return nil, nil, adviseLocked(err)
	}
	kept, err := s.Secret()
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	options.Fingerprint = tally.NewHasher(kept).Fingerprint()
	return &directTarget{Target: transfer.NewStoreTarget(s, stores.catalog), store: s}, s.Close, nil
}

// directTarget is a store that an export is imported into.
type directTarget struct {
	transfer.Target
	store server.Store
}

func (t *directTarget) audit(ctx context.Context, i importing, report transfer.Report) error {
	way := "merge"
	if i.replace {
		way = "replace"
	}
	return t.store.AppendAudit(ctx, tally.AuditEntry{
		At: time.Now(), Actor: "tallycast import", Action: "import", Target: way,
		Detail: fmt.Sprintf("%s, %s and %s", counted(int(report.Topics), "topic"), counted(int(report.Contributions), "contribution"), counted(int(report.Settings), "order")),
	})
}

// nowhere takes what a dry run reads.
type nowhere struct{}

func (nowhere) Begin(context.Context, transfer.Header) error { return nil }
func (nowhere) Store(context.Context, bool, []transfer.Line) ([]transfer.Refusal, error) {
	return nil, nil
}
func (nowhere) SetSetting(context.Context, string, string) error { return nil }

// input is a file that is read, decompressed where it must be.
type input struct {
	io.Reader
	file *os.File // nil: standard input
	size int64    // of the file; 0 while unknown
	read int64    // of it
}

// openInput opens a file, or standard input.
func (p *process) openInput(path string) (*input, error) {
	in := &input{}
	if path == "-" {
		in.Reader = os.Stdin
		return in, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, config.FileErrorReason(err))
	}
	in.file = file
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		in.size = info.Size()
	}
	return in, in.rewind()
}

// rewind begins anew.
func (in *input) rewind() error {
	if in.file == nil {
		return nil
	}
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in.read = 0
	raw := &readCounter{in}
	head := make([]byte, 2)
	n, err := io.ReadFull(in.file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in.Reader = raw
	if n == 2 && head[0] == 0x1f && head[1] == 0x8b { // RFC 1952
		unpacker, err := gzip.NewReader(raw)
		if err != nil {
			return fmt.Errorf("it cannot be decompressed: %w", err)
		}
		in.Reader = unpacker
	}
	return nil
}

// header reads the header of an export and begins anew. Standard input has none to
// be read twice.
func (in *input) header() (transfer.Header, error) {
	if in.file == nil {
		return transfer.Header{}, nil
	}
	header, err := transfer.ReadHeader(in.Reader)
	if err != nil {
		return header, err
	}
	return header, in.rewind()
}

func (in *input) close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// readCounter counts what is read of the file, and skips to where it is told.
type readCounter struct{ in *input }

func (c *readCounter) Read(text []byte) (int, error) {
	n, err := c.in.file.Read(text)
	c.in.read += int64(n)
	return n, err
}
