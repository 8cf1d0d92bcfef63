package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

// unknownArchive stands for a zip archive of no format that is known.
const unknownArchive = "zip"

// formatOf returns the format that the name of a file stands for, or what is in it if it
// is a zip archive.
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

// parseHosts reads hosts, or URLs of sites.
func parseHosts(items []string) (hosts []string, err error) {
	var problems []error
	for _, item := range items {
		host, err := importer.ParseHost(item)
		if err != nil {
			problems = append(problems, err)
		}
		hosts = append(hosts, host)
	}
	return hosts, errors.Join(problems...)
}

// parseTaken reads items of the form figure=metric.
func parseTaken(items []string) (map[string]string, error) {
	taken := map[string]string{}
	var problems []error
	for _, item := range items {
		figure, metric, ok := strings.Cut(item, "=")
		if !ok {
			metric = figure
		}
		if !slices.Contains([]string{importer.FigureViews, importer.FigureVisitors, importer.FigureClaps}, figure) || !tally.ValidMetric(metric) {
			problems = append(problems, fmt.Errorf("%q should be views, visitors or claps, = and a metric, such as views=views", item))
		}
		taken[figure] = metric
	}
	return taken, errors.Join(problems...)
}

// figures are what each format has.
var figures = map[string][]string{
	"goatcounter": {importer.FigureViews, importer.FigureVisitors},
	"umami":       {importer.FigureViews, importer.FigureVisitors},
	"busuanzi":    {importer.FigureViews, importer.FigureVisitors},
	"applause":    {importer.FigureClaps},
}

// findCounts reads plain counts, from wherever they are.
func (p *process) findCounts(i importing) (counts importer.Result, err error) {
	if i.format == "keys" {
		return p.findKeys(i)
	}
	file, closeIt, err := openCounts(i.path)
	if err != nil {
		return counts, err
	}
	defer func() {
		if err = errors.Join(err, closeIt()); err != nil {
			err = fmt.Errorf("%s: %w", i.path, err)
		}
	}()
	if known, ok := figures[i.format]; ok && len(i.naming.Metrics) == 0 {
		for _, figure := range known {
			i.naming.Metrics[figure] = figure
		}
	}
	switch i.format {
	case "goatcounter":
		return importer.ReadGoatCounter(file, i.naming)
	case "umami":
		return importer.ReadUmami(file, i.naming)
	case "applause":
		return importer.ReadApplause(file, i.naming)
	case "busuanzi":
		return importer.ReadBusuanzi(file, i.naming)
	}
	i.layout.Hosts = i.naming.Hosts
	if i.topic != "" {
		if i.layout.Template, err = importer.ParseTemplate(i.topic, 1); err != nil {
			return counts, fmt.Errorf("--topic: %w", err)
		}
	}
	if i.format == "json" {
		return importer.ReadCountsJSON(file, i.layout)
	}
	return importer.ReadCountsCSV(file, i.layout)
}

// openCounts opens a file of plain counts, or a copy of standard input, since importers
// read a file more than once.
func openCounts(path string) (file importer.File, closeIt func() error, err error) {
	var in *os.File
	if path == "-" {
		if in, err = os.CreateTemp("", "tallycast-import-"); err != nil {
			return file, nil, fmt.Errorf("keep standard input: %w", err)
		}
		err = errors.Join(os.Remove(in.Name())) // it stays until it is closed
		if err == nil {
			_, err = io.Copy(in, os.Stdin)
		}
	} else {
		in, err = os.Open(path)
	}
	if err != nil {
		if in != nil {
			err = errors.Join(err, in.Close())
		}
		return file, nil, fmt.Errorf("%s cannot be read: %w", path, config.FileErrorReason(err))
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file; pass - for standard input")
	}
	if err != nil {
		return file, nil, errors.Join(fmt.Errorf("%s: %w", path, err), in.Close())
	}
	return importer.NewFile(in, info.Size()), in.Close, nil
}

// findKeys reads the keys of a Redis.
func (p *process) findKeys(i importing) (counts importer.Result, err error) {
	options, err := importer.ParseKeyPatterns(i.pattern, i.topic, i.seen)
	if err != nil {
		return counts, fmt.Errorf("--pattern and --topic say which keys become what, such as 'adowise:blog:likes:*' and 'blog/likes/{1}': %w", err)
	}
	options.Hosts = i.naming.Hosts
	redis, err := importer.OpenRedis(i.from)
	if err != nil {
		return counts, fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	return importer.ReadKeys(p.ctx, redis, options)
}

// importCounts makes plain counts seeds, or says what that would change.
func (p *process) importCounts(i importing, found importer.Result) int {
	for _, r := range found.Refusals {
		fmt.Fprintln(p.stderr, printable(whereRefused(i.path, r)+r.Reason))
	}
	if more := found.Refused - int64(len(found.Refusals)); more > 0 {
		fmt.Fprintf(p.stderr, "and %d more of them\n", more)
	}
	numbers, closeIt, err := p.importNumbers(i)
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	planned, err := p.applyCounts(i, numbers, found.Counts)
	if err = errors.Join(err, closeIt()); err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	failed := 0
	for _, each := range planned {
		if each.Err != nil {
			failed++
			fmt.Fprintf(p.stderr, "%s: %s\n", printable(each.Topic.String()), printable(reasonOf(each.Err)))
		}
	}
	if err := tellCounts(p.stdout, i, found, planned); err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	if failed > 0 || found.Refused > 0 {
		return exitFailure
	}
	return exitOK
}

// whereRefused names the line of an entry. The reason names a key of a Redis.
func whereRefused(path string, r importer.Refusal) string {
	switch {
	case r.Line == 0:
		return ""
	case r.File != "":
		path += "/" + r.File
	}
	return fmt.Sprintf("%s:%d: ", path, r.Line)
}

// applyCounts makes the counts what they are to be, or finds out what that would change.
func (p *process) applyCounts(i importing, numbers importer.Numbers, counts []importer.Count) ([]importer.Planned, error) {
	if !i.dry {
		m := p.meter("import")
		defer m.end()
		m.total = int64(len(counts))
		return importer.Apply(p.ctx, numbers, counts, i.as, func(done int) { m.at(int64(done), counted(done, "topic")) }), nil
	}
	planned, err := importer.Plan(p.ctx, numbers, counts, i.as)
	if direct, ok := numbers.(*directNumbers); ok {
		for n := range planned {
			planned[n].Err = editable(direct.catalog, planned[n].Topic)
		}
	}
	return planned, err
}

// reasonOf returns an error's message for people.
func reasonOf(err error) string {
	var e *tally.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// importNumbers opens what the counts go to.
func (p *process) importNumbers(i importing) (importer.Numbers, func() error, error) {
	nothing := func() error { return nil }
	if i.store == (config.StoreURL{}) {
		client, err := p.adminClient()
		if err != nil {
			return nil, nil, err
		}
		return servedNumbers{client}, func() error { client.close(); return nil }, nil
	}
	stores, err := p.directStores()
	if err != nil {
		return nil, nil, err
	}
	if i.dry && isNew(i.store) {
		return &directNumbers{catalog: stores.catalog}, nothing, nil
	}
	if i.dry {
		source, closeIt, err := stores.read(p.ctx, i.store)
		if err != nil {
			return nil, nil, err
		}
		return &directNumbers{catalog: stores.catalog, shown: source}, closeIt, nil
	}
	s, err := stores.write(p.ctx, i.store, stores.Secret)
	if err != nil {
		return nil, nil, adviseLocked(err)
	}
	from := i.path
	if i.from != "" {
		from = i.pattern
	}
	numbers := &directNumbers{catalog: stores.catalog, shown: s, store: s}
	return numbers, func() error {
		var err error
		if numbers.changed > 0 {
			err = s.AppendAudit(p.carriedThrough(), tally.AuditEntry{
				At: time.Now(), Actor: "tallycast import", Action: "import", Target: from,
				Detail: fmt.Sprintf("%s of %s", nameOf(i.as), counted(numbers.changed, "topic")),
			})
		}
		return errors.Join(err, s.Close())
	}, nil
}

// nameOf is what --as calls a kind of edit.
func nameOf(kind tally.EditKind) string {
	for name, each := range kinds {
		if each == kind {
			return name
		}
	}
	return ""
}

// directNumbers are those of a store that no service holds.
type directNumbers struct {
	catalog *tally.Catalog
	shown   tally.Lister // nil: the store does not exist yet
	store   server.Store // nil: nothing is to be changed
	changed int
}

// Edit refuses what the store's metrics cannot hold, and carries out the rest.
func (n *directNumbers) Edit(ctx context.Context, edits []tally.Edit) {
	var fit []tally.Edit
	var of []int // which of edits each is
	for i, e := range edits {
		if edits[i].Err = editable(n.catalog, e.Topic); edits[i].Err == nil {
			fit, of = append(fit, e), append(of, i)
		}
	}
	n.store.Edit(ctx, fit)
	for i, e := range fit {
		edits[of[i]] = e
		if e.Changed {
			n.changed++
		}
	}
}

// States implements [importer.Numbers].
func (n *directNumbers) States(ctx context.Context, topics []tally.Topic) ([]tally.State, error) {
	if n.shown != nil {
		return importer.States(ctx, n.shown, topics)
	}
	states := make([]tally.State, len(topics))
	for i, topic := range topics {
		states[i].Topic = topic
	}
	return states, nil
}

// editable tells why a topic's numbers cannot be set. Its site may be declared later.
func editable(catalog *tally.Catalog, topic tally.Topic) error {
	rule := catalog.Rule(topic)
	if rule.Kind == 0 {
		return tally.Errorf(tally.CodeUnknownMetric, "there is no metric %q here; --metric declares one", topic.Metric())
	}
	return rule.CheckEditable(topic.Metric())
}

// tellCounts shows what would change, or in which topics others were seen than
// counted, and says what was done.
func tellCounts(out io.Writer, i importing, found importer.Result, planned []importer.Planned) error {
	changed := 0
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "TOPIC\tCOUNT\tBECAME\tFOUND"
	if i.dry {
		head = "TOPIC\tCOUNT\tWOULD BE\tFOUND"
	}
	if i.seen != "" {
		head += "\tSEEN"
	}
	rows := 0
	for _, each := range planned {
		if each.Changed && each.Err == nil {
			changed++
		}
		differs := each.Seen >= 0 && each.Seen != each.Count.Count
		if each.Err != nil || !differs && !(i.dry && each.Changed) {
			continue
		}
		if rows++; rows == 1 {
			fmt.Fprintln(table, head)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d", printable(each.Topic.String()), each.Before.Count, each.After.Count, each.Count.Count)
		if each.Seen >= 0 {
			fmt.Fprintf(table, "\t%d", each.Seen)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	verb := "changed"
	if i.dry {
		verb = "would change"
	}
	sum, seen := found.Sum()
	fmt.Fprintf(out, "%s in %s, together %s; %d %s.\n", counted(len(found.Counts), "topic"), entriesOf(found), thousands(sum), changed, verb)
	if i.seen != "" {
		fmt.Fprintf(out, "%s were seen by the keys of who was counted. Where that is another number than the count, the count holds.\n", thousands(seen))
	}
	for _, why := range slices.Sorted(maps.Keys(found.Skipped)) {
		fmt.Fprintf(out, "Left out: %s %s.\n", thousands(found.Skipped[why]), why)
	}
	for _, note := range found.Notes {
		fmt.Fprintln(out, printable(note))
	}
	return nil
}

// entriesOf writes how many lines or keys were read.
func entriesOf(c importer.Result) string {
	unit := c.Unit + "s"
	switch {
	case c.Entries == 1:
		unit = c.Unit
	case c.Unit == "entry":
		unit = "entries"
	}
	return thousands(c.Entries) + " " + unit
}
