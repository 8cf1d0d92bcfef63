package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
Writes FILE, or standard output without one, while the service runs: topics, seeds, and
contributions as hashes, in JSON Lines that tallycast import restores. The last line has
the totals, so that an import notices an incomplete file. A file whose name ends in .csv
or .json has only topics and counts, for spreadsheets; .gz at the end compresses.

The hashes can only be used with the secret of the store. --with-secret, which needs
--store, puts the secret into the file. Keep such a file as safe as the store.
`

const exportExamples = `
Examples:
  tallycast export --store sqlite:data/tallycast.db --with-secret numbers.jsonl
      Everything, for another machine.

  tallycast export --at https://counts.example.com --admin-token-file token \
      --scope blog/likes blog.csv
      Likes of a site by page, for a spreadsheet.
`

// scopeFlag limits a command to a part of a store.
func scopeFlag(scope *tally.Scope) config.Setting {
	return config.Setting{Name: "scope", Value: "SITE/METRIC/KEYS", Parse: config.Into(scope, parseScope),
		Help: "Only the topics of a site, of a metric of it, or of keys that begin with KEYS."}
}

// exportCommand writes counts to a file.
type exportCommand struct {
	format     string // jsonl, csv or json
	scope      tally.Scope
	withSecret bool
	force      bool   // replace an existing file
	path       string // empty: standard output
	compress   bool
	backend    backend
}

func (c *exportCommand) flags() []config.Setting {
	return slices.Concat([]config.Setting{
		{Name: "format", Value: "FORMAT", Default: "auto", Parse: config.Into(&c.format, config.ParseChoice("auto", "jsonl", "csv", "json")),
			Help: "jsonl, csv or json; auto is csv or json if the name of FILE ends so, and jsonl otherwise."},
		scopeFlag(&c.scope),
		{Name: "with-secret", Parse: config.Into(&c.withSecret, config.ParseBool), Help: "Put the secret of the store into the file."},
		forceFlag(&c.force),
	}, adminFlags, []config.Setting{
		{Name: "store", Group: groupDirect, Value: "URL", Help: "Read this store (a URL as for serve). A service may use it."},
	}, storeFlags)
}

func (c *exportCommand) run(p *process) (err error) {
	if c.backend, err = p.backend(false); err != nil {
		return err
	}
	if len(p.args) == 1 && p.args[0] != "-" {
		c.path = p.args[0]
	}
	name, isCompressed := strings.CutSuffix(c.path, ".gz")
	c.compress = isCompressed
	if c.format == "auto" {
		c.format = "jsonl"
		if extension := strings.TrimPrefix(filepath.Ext(name), "."); extension == "csv" || extension == "json" {
			c.format = extension
		}
	}
	switch {
	case c.withSecret && c.backend.isService():
		return usagef("--with-secret needs a store, such as --store sqlite:data/tallycast.db: a service does not export its secret")
	case c.withSecret && c.format != "jsonl":
		return usagef("--with-secret is for jsonl: plain counts need no secret")
	}
	client, err := p.openBackend(c.backend, storeUse{command: "export", sites: sitesOf([]string{c.scope.Site}), readOnly: true, withSecret: c.withSecret})
	if err != nil {
		return err
	}
	defer client.close()
	m := p.meter("export")
	var totals transfer.Totals
	err = c.write(p.stdout, func(w io.Writer) error {
		totals, err = c.copy(p.ctx, client, w, m)
		return err
	})
	m.end()
	switch {
	case err != nil:
		return adviseForce(err)
	case c.path == "":
	case c.format == "jsonl":
		fmt.Fprintf(p.stderr, "%s in %s (%s).\n", totalsText(totals), c.path, m.rate(max(totals.Topics, totals.Contributions)))
	default:
		fmt.Fprintf(p.stderr, "Written to %s.\n", c.path)
	}
	return nil
}

// copy writes the export of the client to w, and returns the totals of its last line.
func (c *exportCommand) copy(ctx context.Context, client *adminClient, w io.Writer, m *meter) (totals transfer.Totals, err error) {
	query := scopeQuery(c.scope.Site, c.scope.Metric, c.scope.Prefix)
	query.Set("format", c.format)
	response, err := client.stream(ctx, http.MethodGet, "/admin/v1/export?"+query.Encode(), nil, "")
	if err != nil {
		return totals, err
	}
	defer response.Body.Close()
	end := &tail{out: w, m: m}
	if _, err := io.Copy(end, response.Body); err != nil {
		return totals, fmt.Errorf("the export of %s is incomplete: %w", client.label, err)
	}
	if c.format != "jsonl" {
		return totals, nil
	}
	var last struct{ Total *transfer.Totals }
	if json.Unmarshal(end.lastLine(), &last) != nil || last.Total == nil {
		return totals, fmt.Errorf("the export of %s is incomplete: its last line is missing", client.label)
	}
	return *last.Total, nil
}

// tail writes text to out, keeps the end of it and shows the progress.
type tail struct {
	out   io.Writer
	m     *meter
	end   []byte
	bytes int64
}

// maxTail bounds the bytes that are kept: a line with totals is shorter.
const maxTail = 256

func (t *tail) Write(text []byte) (int, error) {
	t.end = append(t.end, text[max(0, len(text)-maxTail):]...)
	t.end = t.end[max(0, len(t.end)-maxTail):]
	t.bytes += int64(len(text))
	t.m.at(t.bytes, megabytes(t.bytes))
	return t.out.Write(text)
}

func (t *tail) lastLine() []byte {
	text := bytes.TrimSpace(t.end)
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

// write calls produce with the file or standard output. A file gets its name when it is complete.
// Errors: [fs.ErrExist] if the file exists and must not be replaced.
func (c *exportCommand) write(stdout io.Writer, produce func(io.Writer) error) error {
	if c.path == "" {
		return produce(stdout)
	}
	options := newfile.Options{Replace: c.force}
	if c.backend.store.SQLitePath != "" {
		options.Keep = sqlitestore.Files(c.backend.store.SQLitePath) // never replace the store that is read
	}
	file, err := newfile.Create(c.path, options)
	if err != nil {
		return err
	}
	defer file.Discard()
	if c.compress {
		compressor := gzip.NewWriter(file)
		err = errors.Join(produce(compressor), compressor.Close())
	} else {
		err = produce(file)
	}
	if err != nil {
		return err
	}
	return file.Commit()
}
