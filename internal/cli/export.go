package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/newfile"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const exportDetails = `
Writes FILE, or standard output without one, while the service runs: topics,
seeds, and contributions as hashes, as JSON Lines that tallycast import
restores. Its last line has the totals, so that a file which was cut off is
noticed. A name that ends in .csv or .json gets topic and count alone, for
spreadsheets; one in .gz is compressed. A file that is there is kept unless
--force is given.

It asks a running service, or reads the store that --store, TALLYCAST_STORE or
the configuration file names: an SQLite file also beside the service that holds
it. Hashes mean something under the store's secret
alone; --with-secret, which needs a store, puts it into the file, which then
must be kept as carefully as the store.
`

const exportExamples = `
Examples:
  tallycast export --store sqlite:data/tallycast.db --with-secret numbers.jsonl
      All there is, for another machine.

  tallycast export --at https://tally.example.com --admin-token-file token \
      --scope blog/likes blog.csv
      Likes of a site by page, for a spreadsheet.
`

var exportFlags = slices.Concat([]config.Setting{
	{Name: "format", Value: "FORM", Default: "auto", Help: "jsonl, csv or json; auto goes by the name of FILE, and is jsonl otherwise."},
	{Name: "scope", Value: "SITE/METRIC/KEYS", Help: "Only this: a site, a metric of it, and keys that begin so."},
	{Name: "with-secret", Help: "Put the secret of the store into the file."},
	forceFlag,
	{Name: "store", Group: groupDirect, Value: "URL", Help: "Read this store instead, in the forms of serve."},
}, adminFlags, storeFlags)

// exporting is what the flags of export say.
type exporting struct {
	format     string // jsonl, csv or json
	scope      tally.Scope
	withSecret bool
	path       string          // empty: standard output
	force      bool            // replace what is there
	store      config.StoreURL // the zero value: the service is asked
	compressed bool
}

// exportNumbers is the subcommand export.
func exportNumbers(p *process) int {
	e, err := p.readExport()
	if err != nil {
		return fail(p.stderr, exitUsage, err)
	}
	var totals transfer.Totals
	m := p.meter("export")
	direct := e.store != config.StoreURL{}
	if direct {
		totals, err = p.exportStore(e, m)
	} else {
		err = p.exportService(e, m)
	}
	m.end()
	if err != nil {
		return fail(p.stderr, exitCode(err), adviseForce(err))
	}
	if e.path != "" && direct {
		fmt.Fprintf(p.stderr, "%s and %s in %s (%s).\n", counted(int(totals.Topics), "topic"), counted(int(totals.Contributions), "contribution"), e.path, m.rate(max(totals.Topics, totals.Contributions)))
	} else if e.path != "" {
		fmt.Fprintf(p.stderr, "Written to %s.\n", e.path)
	}
	return exitOK
}

func (p *process) readExport() (e exporting, err error) {
	r := p.reader(exportFlags)
	e = exporting{
		format:     config.Read(r, "format", config.ParseChoice("auto", "jsonl", "csv", "json")),
		scope:      config.Read(r, "scope", parseScope),
		withSecret: config.Read(r, "with-secret", config.ParseBool),
		force:      config.Read(r, "force", config.ParseBool),
	}
	b, err := p.backend(false)
	e.store = b.store
	switch {
	case len(r.Problems) > 0:
		return e, r.Problems.Err()
	case err != nil:
		return e, err
	case len(p.args) > 1:
		return e, errors.New("name one file, or none for standard output")
	case e.withSecret && b.isService():
		return e, errors.New("--with-secret needs a store, such as --store sqlite:data/tallycast.db: a service does not tell its secret")
	}
	if len(p.args) == 1 && p.args[0] != "-" {
		e.path = p.args[0]
	}
	name, compressed := strings.CutSuffix(e.path, ".gz")
	e.compressed = compressed
	if e.format == "auto" {
		e.format = "jsonl"
		if form := strings.TrimPrefix(filepath.Ext(name), "."); form == "csv" || form == "json" {
			e.format = form
		}
	}
	if e.withSecret && e.format != "jsonl" {
		return e, errors.New("--with-secret is for jsonl: plain counts need no secret")
	}
	if !b.isService() {
		p.printStore(b)
	}
	return e, nil
}

// exportStore writes what a store holds.
func (p *process) exportStore(e exporting, m *meter) (totals transfer.Totals, err error) {
	stores, err := p.directStores()
	if err != nil {
		return totals, err
	}
	source, closeIt, err := stores.read(p.ctx, e.store)
	if err != nil {
		return totals, err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	if m.out != nil && e.format == "jsonl" {
		m.total = sumOf(p.ctx, source, e.scope)
	}
	err = e.write(p.stdout, func(w io.Writer) error {
		progress := func(done transfer.Progress) {
			m.at(done.Contributions, fmt.Sprintf("%s topics, %s contributions, %s, %s", thousands(done.Topics), thousands(done.Contributions), megabytes(done.Bytes), m.rate(max(done.Topics, done.Contributions))))
		}
		if e.format != "jsonl" {
			totals, err = transfer.ExportCounts(p.ctx, source, e.scope, e.format == "json", w, progress)
			return err
		}
		secret, err := source.Secret()
		if err != nil {
			return err
		}
		totals, err = transfer.Export(p.ctx, source, stores.catalog, transfer.NewHeader(secret, e.withSecret, time.Now()), e.scope, w, progress)
		return err
	})
	return totals, err
}

// exportService writes what a running service hands out.
func (p *process) exportService(e exporting, m *meter) error {
	client, err := p.adminClient()
	if err != nil {
		return err
	}
	defer client.close()
	query := url.Values{"format": {e.format}}
	for name, value := range map[string]string{"site": e.scope.Site, "metric": e.scope.Metric, "prefix": e.scope.Prefix} {
		if value != "" {
			query.Set(name, value)
		}
	}
	response, err := client.stream(p.ctx, http.MethodGet, "/admin/v1/export?"+query.Encode(), nil, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return e.write(p.stdout, func(w io.Writer) error {
		end := &lastLine{out: w, m: m}
		if _, err := io.Copy(end, response.Body); err != nil {
			return fmt.Errorf("%s ended the export early: %w", client.at, err)
		}
		if e.format == "jsonl" && !bytes.HasPrefix(end.line, []byte(`{"total":`)) {
			return fmt.Errorf("%s ended the export early: its last line is missing", client.at)
		}
		return nil
	})
}

// lastLine hands text on and knows its last line.
type lastLine struct {
	out   io.Writer
	m     *meter
	line  []byte // without its end, as far as it is not longer than a line of totals
	ended bool
	bytes int64
}

// maxLastLine bounds what is kept of a line: more than the totals have.
const maxLastLine = 256

func (l *lastLine) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		if l.ended {
			l.line = l.line[:0]
		}
		l.ended = line[len(line)-1] == '\n'
		l.line = append(l.line, line[:min(len(line), max(0, maxLastLine-len(l.line)))]...)
	}
	l.bytes += int64(len(text))
	l.m.at(l.bytes, megabytes(l.bytes))
	return l.out.Write(text)
}

// write calls produce with where the export goes. A file gets its name when it is
// complete.
// Errors: [fs.ErrExist] if the file exists and is not to be replaced.
func (e exporting) write(stdout io.Writer, produce func(io.Writer) error) error {
	if e.path == "" {
		return produce(stdout)
	}
	file, err := newfile.Create(e.path, e.fileOptions())
	if err != nil {
		return err
	}
	defer file.Discard()
	if e.compressed {
		packer := gzip.NewWriter(file)
		err = produce(packer)
		if err == nil {
			err = packer.Close()
		}
	} else {
		err = produce(file)
	}
	if err != nil {
		return err
	}
	return file.Commit()
}

// fileOptions keep the store that is read from being replaced.
func (e exporting) fileOptions() newfile.Options {
	o := newfile.Options{Replace: e.force}
	if e.store.SQLitePath != "" {
		o.Keep = sqlitestore.Files(e.store.SQLitePath)
	}
	return o
}

// carriedThrough is for what is to be done although the process should end.
func (p *process) carriedThrough() context.Context { return context.WithoutCancel(p.ctx) }
