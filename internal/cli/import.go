package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const importDetails = `
Reads FILE, which may be compressed (.gz), or standard input for -.

The output of tallycast export (jsonl) is merged with the stored counts, or replaces
them topic by topic (--mode replace). No visitor counts twice, so an interrupted import
can be run again. The store must have the secret of the export; a new store takes it
from the file (export --with-secret) or from --secret-file.

Any other file has plain counts. They become seeds, or what --as names. If your pages
have seeds too, use --as base, because seeding replaces imported seeds. An import sets
numbers and adds nothing, so it can be repeated. Contributions made here stay.

Formats:
  jsonl        the output of tallycast export
  csv          a table with the columns topic and count, or those that --columns
               names, separated by commas, semicolons or tabs. Polls and other choice
               metrics have a row for each option, with the column option
  json         [{"topic":"blog/likes/a","count":3}], or {"blog/likes/a":3}; choice
               metrics have "options":[3,0,2]
  goatcounter  its JSON export (a zip file), or its CSV export (gzip). The JSON export
               has visitors; --take visitors=views makes them views
  umami        website_event.csv or pages.csv, or a zip file with one of them
  applause     [{"url":"blog.example.com/a","claps":3}], or its DynamoDB table
  busuanzi     [{"url":"/a","page_pv":3}], or one of its answers
  redis        no file: --from and --pattern name keys that hold whole numbers

A number must have one possible meaning: 2000, 2,000,000, 2 000 and 2.0 are accepted;
2.000, 1,234 and 0042 are not. If a file has pages of several hosts, name all of yours
with --host in one run: a second run replaces the counts of the first.

An entry that cannot be read is reported with its line and the reason. The others are
imported, and the exit code is 1.
`

const importExamples = `
Examples:
  tallycast import --store sqlite:data/tallycast.db numbers.jsonl
      Restore an export, before the service is started.

  tallycast import --columns topic=path,count=views --topic 'blog/views/{1}' views.csv
      Views by page, from a spreadsheet.

  tallycast import --site blog goatcounter-export.zip
  tallycast import --format applause --site blog claps.json
      Visitors by page; claps by page.

  tallycast import --format umami --site blog --host example.com --host www.example.com website_event.csv
      Views and visitors by page, of both hosts together.

  tallycast import --from redis://old:6379/0 --pattern 'likes:*' --topic 'blog/likes/{1}' --dry-run
      What an import of a Redis with one key for each page would change.
`

// needsImport describes the argument of import.
const needsImport = "one file, or - for standard input"

// importKinds are what plain counts may become.
var importKinds = map[string]tally.EditKind{"seed": tally.EditSeed, "adjustment": tally.EditAdjustment, "base": tally.EditBase, "count": tally.EditCount}

// importCommand reads an export, or the counts of another counter.
type importCommand struct {
	format  string // keys with from
	mode    string
	as      string // of importKinds
	dry     bool
	mapping importer.Mapping
	layout  importer.Layout
	path    string // - is standard input; empty with from
	backend backend

	from, pattern, topic, seen string
}

func (c *importCommand) flags() []config.Setting {
	return slices.Concat([]config.Setting{
		{Name: "format", Value: "FORMAT", Default: "auto", Parse: config.Into(&c.format, config.ParseChoice("auto", "jsonl", "csv", "json", "goatcounter", "umami", "applause", "busuanzi")),
			Help: "jsonl, csv, json, goatcounter, umami, applause or busuanzi; auto takes it from the end of the name of FILE or the content of a zip file, and is jsonl otherwise."},
		{Name: "mode", Value: "WORD", Default: "merge", Parse: config.Into(&c.mode, config.ParseChoice("merge", "replace")),
			Help: "For an export: merge or replace."},
		{Name: "as", Value: "WORD", Default: "seed", Parse: config.Into(&c.as, config.ParseChoice("seed", "adjustment", "base", "count")),
			Help: "What a plain count becomes: seed, adjustment, base (the sum of seed and adjustment) or count (the sum of these and the contributions)."},
		dryRunFlag(&c.dry),
		{Name: "site", Value: "NAME", Default: tally.DefaultSite, Parse: config.Into(&c.mapping.Site, config.ParseSiteName), Help: "The site of the topics."},
		{Name: "take", Value: "FIGURE=METRIC", Repeatable: true, Parse: config.IntoList(&c.mapping.Metrics, parseTaken),
			Help: "Take only this figure of the file, for this metric. The figures are views, visitors and claps, depending on the format: --take visitors=views. Repeatable."},
		{Name: "host", Value: "HOST", Repeatable: true, Parse: config.IntoEach(&c.mapping.Hosts, importer.ParseHost),
			Help: "Take only pages of this host, if a file has several. Repeatable: hosts add up."},
		{Name: "website", Value: "ID", Repeatable: true, Parse: config.IntoTexts(&c.mapping.Websites),
			Help: "For umami: take only this website, by its website_id, if a file has several. Repeatable: websites add up."},
		{Name: "keep-query", Parse: config.Into(&c.mapping.KeepQuery, config.ParseBool), Help: "Count each query string as its own page; elements without the attribute page ignore query strings."},
		{Name: "columns", Value: "topic=COLUMN,count=COLUMN", Repeatable: true, Parse: config.IntoList(&c.layout, importer.ParseColumns),
			Help: "For csv and json: the columns or members that hold the topic and the count, if they have other names."},
		{Name: "topic", Value: "TEMPLATE", Parse: config.IntoText(&c.topic),
			Help: "The topic of each count, such as blog/likes/{1}. {1} stands for the text that the first * of --pattern matched, or for the name in the file."},
		{Name: "from", Value: "URL", Parse: config.IntoText(&c.from), Help: "The Redis whose keys are read: redis://HOST:PORT/DB or rediss://."},
		{Name: "pattern", Value: "KEYS", Parse: config.IntoText(&c.pattern), Help: "Keys that hold whole numbers, with a * for the page, such as 'likes:*'; or one key."},
		{Name: "seen", Value: "KEYS", Parse: config.IntoText(&c.seen),
			Help: "Keys that hold the visitors that were counted, with the same *: shown beside the counts, for comparison."},
	}, targetFlags)
}

func (c *importCommand) run(p *process) (err error) {
	switch {
	case c.from != "" && len(p.args) > 0:
		return usagef("--from reads the keys of a Redis, and takes no file")
	case c.from != "":
		c.format = "keys"
	case len(p.args) == 0:
		return usagef("name %s", needsImport)
	default:
		c.path = p.args[0]
	}
	if c.format == "auto" {
		if c.format = formatOf(c.path); c.format == unknownArchive {
			return fmt.Errorf("%s: the archive is no export of GoatCounter or Umami; unpack it and import one of its files", c.path)
		}
	}
	if err := c.checkFlags(p.flags); err != nil {
		return usageError{err}
	}
	if c.backend, err = p.backend(false); err != nil {
		return err
	}
	if c.format == "jsonl" {
		return c.importExport(p)
	}
	return c.importCounts(p)
}

// flagFormats are the formats to which a flag applies.
var flagFormats = map[string][]string{
	"host":    {"csv", "json", "goatcounter", "umami", "applause", "busuanzi", "keys"},
	"website": {"umami"},
	"columns": {"csv", "json"},
	"topic":   {"csv", "json", "keys"},
	"pattern": {"keys"},
	"seen":    {"keys"},
}

// checkFlags rejects flags that the format would ignore.
func (c *importCommand) checkFlags(flags map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(flagFormats)) {
		formats := flagFormats[name]
		if _, given := flags[name]; !given || slices.Contains(formats, c.format) {
			continue
		}
		of := "the format is " + c.format
		if c.format == "keys" {
			of = "--from reads keys of a Redis"
		}
		return fmt.Errorf("--%s is for %s, and %s", name, strings.ReplaceAll(strings.Join(formats, ", "), "keys", "--from"), of)
	}
	return nil
}

// unknownArchive is the format of a zip archive without a known export.
const unknownArchive = "zip"

// formatOf returns the format that the name of a file ends in, or that a zip archive has.
func formatOf(path string) string {
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(path, ".gz"))) {
	case ".csv", ".tsv":
		return "csv"
	case ".json":
		return "json"
	case ".zip":
		if in, err := os.Open(path); err == nil {
			defer in.Close()
			if info, err := in.Stat(); err == nil {
				return cmp.Or(importer.FormatOf(importer.NewFile(in, info.Size())), unknownArchive)
			}
		}
	}
	return "jsonl"
}

// parseTaken parses items of the form figure=metric.
func parseTaken(items []string) (map[string]string, error) {
	taken := map[string]string{}
	var problems []error
	for _, item := range items {
		figure, metric, ok := strings.Cut(item, "=")
		if !ok {
			metric = figure
		}
		if !slices.Contains(importer.Figures, figure) || !tally.ValidMetric(metric) {
			problems = append(problems, fmt.Errorf("%q should be views, visitors or claps, = and a metric, such as views=views", item))
		}
		taken[figure] = metric
	}
	return taken, errors.Join(problems...)
}

// input reads an export, decompressed if necessary.
type input struct {
	*bufio.Reader
	file *os.File
	size int64 // of the file; 0 if unknown
}

// maxHeader bounds the bytes of an export's header, which holds the secret at most.
const maxHeader = 64 << 10

// openInput opens a file, or standard input for -.
func openInput(path string) (in *input, err error) {
	in = &input{file: os.Stdin}
	if path != "-" {
		if in.file, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, plaintext.FileError(err))
		}
		if info, err := in.file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	in.Reader = bufio.NewReaderSize(in.file, maxHeader)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" { // RFC 1952
		text, err := gzip.NewReader(in.Reader)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("it cannot be decompressed: %w", err), in.file.Close())
		}
		in.Reader = bufio.NewReaderSize(text, maxHeader)
	}
	return in, nil
}

// header returns the header of an export without advancing the reader. Errors: [tally.CodeBadBody].
func (in *input) header() (transfer.Header, error) {
	text, err := in.Peek(maxHeader)
	if err != nil && !errors.Is(err, io.EOF) && !bytes.Contains(text, []byte("\n")) {
		return transfer.Header{}, tally.Errorf(tally.CodeBadBody, "it cannot be read: %v", plaintext.FileError(err))
	}
	return transfer.ReadHeader(bytes.NewReader(text))
}

// read returns the number of bytes of the file that were read; 0 if it is unknown.
func (in *input) read() int64 {
	n, _ := in.file.Seek(0, io.SeekCurrent) // fails for a pipe
	return n
}
