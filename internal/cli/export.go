package cli

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/newfile"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

const exportDetails = `
Writes FILE, or standard output without one, while the service runs: topics, seeds,
and contributions as hashes, in JSON Lines that tallycast import restores. The last
line has the totals, so that an incomplete file is noticed. A file whose name ends in
.csv or .json has only topics and counts, for spreadsheets; one that ends in .gz is
compressed. An existing file is kept unless --force is given.

The command calls a running service, or reads the store that --store, TALLYCAST_STORE
or the configuration file names; an SQLite file may be in use by a service. The hashes
can only be used with the secret of the store. --with-secret, which needs a store, puts
the secret into the file, which must then be kept as safe as the store.
`

const exportExamples = `
Examples:
  tallycast export --store sqlite:data/tallycast.db --with-secret numbers.jsonl
      Everything, for another machine.

  tallycast export --at https://tally.example.com --admin-token-file token \
      --scope blog/likes blog.csv
      Likes of a site by page, for a spreadsheet.
`

// scopeFlag narrows a command to a part of a store.
var scopeFlag = config.Setting{Name: "scope", Value: "SITE/METRIC/KEYS", Help: "Only this: a site, a metric of it, and keys that begin like this."}

var exportFlags = slices.Concat([]config.Setting{
	{Name: "format", Value: "FORM", Default: "auto", Help: "jsonl, csv or json; auto finds it by the end of the name of FILE; otherwise jsonl."},
	scopeFlag,
	{Name: "with-secret", Help: "Put the secret of the store into the file."},
	forceFlag,
	{Name: "store", Group: groupDirect, Value: "URL", Help: "Read this store, in the forms of serve."},
}, adminFlags, storeFlags)

// exportOptions are the flags of export.
type exportOptions struct {
	format     string // jsonl, csv or json
	scope      tally.Scope
	withSecret bool
	path       string // empty: standard output
	force      bool   // replace an existing file
	compress   bool
	backend    backend
}

func exportCounts(p *process) error {
	o, err := p.exportOptions()
	if err != nil {
		return usageError{err}
	}
	client, err := p.openBackend(o.backend, localStore{command: "export", sites: sitesOf([]string{o.scope.Site}), readOnly: true, withSecret: o.withSecret})
	if err != nil {
		return err
	}
	defer client.close()
	m := p.meter("export")
	totals, err := p.export(client, o, m)
	m.end()
	switch {
	case err != nil:
		return adviseForce(err)
	case o.path == "":
	case o.format == "jsonl":
		fmt.Fprintf(p.stderr, "%s and %s in %s (%s).\n", counted(int(totals.Topics), "topic"), counted(int(totals.Contributions), "contribution"), o.path, m.rate(max(totals.Topics, totals.Contributions)))
	default:
		fmt.Fprintf(p.stderr, "Written to %s.\n", o.path)
	}
	return nil
}

func (p *process) exportOptions() (o exportOptions, err error) {
	r := p.reader(exportFlags)
	o = exportOptions{
		format:     config.Read(r, "format", config.ParseChoice("auto", "jsonl", "csv", "json")),
		scope:      config.Read(r, "scope", parseScope),
		withSecret: config.Read(r, "with-secret", config.ParseBool),
		force:      config.Read(r, "force", config.ParseBool),
	}
	b, err := p.backend(false)
	o.backend = b
	switch {
	case len(r.Problems) > 0:
		return o, r.Problems.Err()
	case err != nil:
		return o, err
	case len(p.args) > 1:
		return o, errors.New("name one file, or none for standard output")
	case o.withSecret && b.isService():
		return o, errors.New("--with-secret needs a store, such as --store sqlite:data/tallycast.db: a service does not tell its secret")
	}
	if len(p.args) == 1 && p.args[0] != "-" {
		o.path = p.args[0]
	}
	name, isCompressed := strings.CutSuffix(o.path, ".gz")
	o.compress = isCompressed
	if o.format == "auto" {
		o.format = "jsonl"
		if extension := strings.TrimPrefix(filepath.Ext(name), "."); extension == "csv" || extension == "json" {
			o.format = extension
		}
	}
	if o.withSecret && o.format != "jsonl" {
		return o, errors.New("--with-secret is for jsonl: plain counts need no secret")
	}
	return o, nil
}

// export writes the export and returns the totals of its last line.
func (p *process) export(client *adminClient, o exportOptions, m *meter) (totals transfer.Totals, err error) {
	query := url.Values{"format": {o.format}}
	for name, value := range map[string]string{"site": o.scope.Site, "metric": o.scope.Metric, "prefix": o.scope.Prefix} {
		if value != "" {
			query.Set(name, value)
		}
	}
	response, err := client.stream(p.ctx, http.MethodGet, "/admin/v1/export?"+query.Encode(), nil, "")
	if err != nil {
		return totals, err
	}
	defer response.Body.Close()
	err = o.write(p.stdout, func(w io.Writer) error {
		tail := &lastLine{out: w, m: m}
		if _, err := io.Copy(tail, response.Body); err != nil {
			return fmt.Errorf("%s ended the export early: %w", client.label, err)
		}
		var last struct{ Total *transfer.Totals }
		if o.format != "jsonl" {
			return nil
		}
		if json.Unmarshal(tail.line, &last) != nil || last.Total == nil {
			return fmt.Errorf("%s ended the export early: its last line is missing", client.label)
		}
		totals = *last.Total
		return nil
	})
	return totals, err
}

// lastLine passes text on and keeps its last line.
type lastLine struct {
	out   io.Writer
	m     *meter
	line  []byte // at most maxLastLine bytes of it
	ended bool   // the line has its line end
	bytes int64
}

// maxLastLine bounds the bytes that are kept of a line: totals are shorter.
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

// write calls produce with the destination. A file gets its name when it is complete.
// Errors: [fs.ErrExist] if the file exists and must not be replaced.
func (o exportOptions) write(stdout io.Writer, produce func(io.Writer) error) error {
	if o.path == "" {
		return produce(stdout)
	}
	options := newfile.Options{Replace: o.force}
	if o.backend.store.SQLitePath != "" {
		options.Keep = sqlitestore.Files(o.backend.store.SQLitePath) // never replace the store that is read
	}
	file, err := newfile.Create(o.path, options)
	if err != nil {
		return err
	}
	defer file.Discard()
	if o.compress {
		compressor := gzip.NewWriter(file)
		if err = produce(compressor); err == nil {
			err = compressor.Close()
		}
	} else {
		err = produce(file)
	}
	if err != nil {
		return err
	}
	return file.Commit()
}
