package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/tally"
)

// countResult is what became of a count, or would in a dry run.
type countResult struct {
	importer.Count
	before, after int64 // counts of the topic; only of a dry run
	changed       bool
	err           error // why the topic was refused
}

// importCounts imports plain counts, or prints what that would change.
func (p *process) importCounts(o importOptions) error {
	found, err := p.readCounts(o)
	if err != nil {
		return err
	}
	for _, r := range found.Refusals {
		fmt.Fprintln(p.stderr, printable(refusalPlace(o.path, r)+r.Reason))
	}
	if more := found.Refused - int64(len(found.Refusals)); more > 0 {
		fmt.Fprintf(p.stderr, "and %d more of them\n", more)
	}
	var topics []string
	for _, c := range found.Counts {
		topics = append(topics, c.Topic.String())
	}
	client, err := p.openBackend(o.backend, localStore{command: "import", sites: sitesOf(topics), create: true, readOnly: o.dry})
	if err != nil {
		return err
	}
	defer client.close()
	results, err := p.applyCounts(client, o, found.Counts)
	failed := 0
	for _, each := range results {
		if each.err != nil {
			failed++
			fmt.Fprintf(p.stderr, "%s: %s\n", printable(each.Topic.String()), printable(each.err.Error()))
		}
	}
	if err != nil {
		return fmt.Errorf("%w; what was set stays, and running this again does the rest", err)
	}
	if err := printCounts(p.stdout, o, found, results); err != nil {
		return err
	}
	if failed > 0 || found.Refused > 0 {
		return exitStatus(exitFailure)
	}
	return nil
}

// readCounts reads plain counts of a file or of a Redis.
func (p *process) readCounts(o importOptions) (found importer.Result, err error) {
	if o.format == "keys" {
		return p.readKeys(o)
	}
	file, closeFile, err := openCounts(o.path)
	if err != nil {
		return found, err
	}
	defer func() {
		if err = errors.Join(err, closeFile()); err != nil {
			err = fmt.Errorf("%s: %w", o.path, err)
		}
	}()
	if read := importer.Formats[o.format]; read != nil {
		return read(file, o.mapping)
	}
	o.layout.Hosts = o.mapping.Hosts
	if o.topic != "" {
		if o.layout.Template, err = importer.ParseTemplate(o.topic, 1); err != nil {
			return found, fmt.Errorf("--topic: %w", err)
		}
	}
	if o.format == "json" {
		return importer.ReadCountsJSON(file, o.layout)
	}
	return importer.ReadCountsCSV(file, o.layout)
}

// openCounts opens a file of plain counts, or a copy of standard input, because importers
// read a file more than once.
func openCounts(path string) (file importer.File, closeFile func() error, err error) {
	var in *os.File
	if path == "-" {
		if in, err = os.CreateTemp("", "tallycast-import-"); err != nil {
			return file, nil, fmt.Errorf("keep standard input: %w", err)
		}
		if err = os.Remove(in.Name()); err == nil { // the open file stays readable
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
		err = errors.New("is not a regular file; use - for standard input")
	}
	if err != nil {
		return file, nil, errors.Join(fmt.Errorf("%s: %w", path, err), in.Close())
	}
	return importer.NewFile(in, info.Size()), in.Close, nil
}

// readKeys reads the keys of a Redis.
func (p *process) readKeys(o importOptions) (found importer.Result, err error) {
	options, err := importer.ParseKeyPatterns(o.pattern, o.topic, o.seen)
	if err != nil {
		return found, fmt.Errorf("--pattern and --topic say which keys become which topics, such as 'adowise:blog:likes:*' and 'blog/likes/{1}': %w", err)
	}
	options.Hosts = o.mapping.Hosts
	return importer.ReadKeys(p.ctx, o.from, options)
}

// refusalPlace returns the file and line of an entry; empty for a key of a Redis, which the
// reason names.
func refusalPlace(path string, r importer.Refusal) string {
	switch {
	case r.Line == 0:
		return ""
	case r.File != "":
		path += "/" + r.File
	}
	return fmt.Sprintf("%s:%d: ", path, r.Line)
}

// applyCounts sets the counts, or finds out what that would change. Its error ends the
// import; results of topics that were refused have their own.
func (p *process) applyCounts(client *adminClient, o importOptions, counts []importer.Count) (results []countResult, err error) {
	m := p.meter("import")
	defer m.end()
	m.total = int64(len(counts))
	if o.as == tally.EditSeed && !o.dry {
		for batch := range slices.Chunk(counts, seedBatch) {
			some, err := applySeeds(p.ctx, client, batch)
			if err != nil {
				return results, err
			}
			results = append(results, some...)
			m.at(int64(len(results)), counted(len(results), "topic"))
		}
		return results, nil
	}
	apply := client.applyCount
	if o.dry {
		apply = client.previewCount
	}
	for _, c := range counts {
		result, err := apply(p.ctx, c, o.as)
		if err != nil && !isAboutTopic(err) {
			return results, err
		}
		result.Count, result.err = c, err
		results = append(results, result)
		m.at(int64(len(results)), counted(len(results), "topic"))
	}
	return results, nil
}

func applySeeds(ctx context.Context, client *adminClient, counts []importer.Count) ([]countResult, error) {
	edits := make([]seedEdit, len(counts))
	for i, c := range counts {
		edits[i] = seedEdit{c.Topic.String(), c.Count}
	}
	answers, err := client.setSeeds(ctx, edits, false)
	if err != nil {
		return nil, err
	}
	results := make([]countResult, len(counts))
	for i, each := range answers {
		results[i] = countResult{Count: counts[i], changed: each.Changed}
		if each.Error != nil {
			results[i].err = errors.New(each.Error.Message)
		}
	}
	return results, nil
}

// applyCount sets one number of a topic.
func (c *adminClient) applyCount(ctx context.Context, count importer.Count, as tally.EditKind) (countResult, error) {
	var answer editResult
	err := c.call(ctx, http.MethodPatch, topicPath(count.Topic.String()), map[string]int64{kindName(as): count.Count}, &answer)
	return countResult{changed: answer.Changed}, err
}

// previewCount returns what [adminClient.applyCount] would do.
func (c *adminClient) previewCount(ctx context.Context, count importer.Count, as tally.EditKind) (countResult, error) {
	var s topicState
	if err := c.call(ctx, http.MethodGet, topicPath(count.Topic.String()), nil, &s); err != nil {
		return countResult{}, err
	}
	edit := tally.Edit{Topic: count.Topic, Kind: as, Value: count.Count}
	edit.Preview(tally.State{Change: tally.Change{Topic: count.Topic, Count: s.Count, Version: s.Version}, Seed: s.Seed, Adjustment: s.Adjustment})
	return countResult{before: s.Count, after: edit.After.Count, changed: edit.Changed}, nil
}

// kindName returns the name of a kind of edit in --as and in the admin API.
func kindName(kind tally.EditKind) string {
	for name, each := range importKinds {
		if each == kind {
			return name
		}
	}
	return ""
}

// printCounts prints what would change, the topics in which the number of visitors seen
// differs from the count, and a summary.
func printCounts(out io.Writer, o importOptions, found importer.Result, results []countResult) error {
	t := newTable("TOPIC", "FOUND")
	if o.dry {
		t.head = append(t.head, "COUNT", "WOULD BE")
	}
	if o.seen != "" {
		t.head = append(t.head, "SEEN")
	}
	changed := 0
	for _, each := range results {
		if each.err != nil {
			continue
		}
		if each.changed {
			changed++
		}
		differs := each.Seen >= 0 && each.Seen != each.Count.Count
		if !differs && !(o.dry && each.changed) {
			continue
		}
		row := []string{each.Topic.String(), fmt.Sprint(each.Count.Count)}
		if o.dry {
			row = append(row, fmt.Sprint(each.before), fmt.Sprint(each.after))
		}
		if each.Seen >= 0 {
			row = append(row, fmt.Sprint(each.Seen))
		}
		t.add(row...)
	}
	if err := t.write(out); err != nil {
		return err
	}
	sum, seen := found.Sum()
	fmt.Fprintf(out, "%s in %s, together %s; %d %s.\n", counted(len(found.Counts), "topic"), entries(found), thousands(sum), changed, changedVerb(o.dry))
	if o.seen != "" {
		fmt.Fprintf(out, "%s were seen by the keys of visitors. If that differs from the count, the count is imported.\n", thousands(seen))
	}
	for _, why := range slices.Sorted(maps.Keys(found.Skipped)) {
		fmt.Fprintf(out, "Left out: %s %s.\n", thousands(found.Skipped[why]), why)
	}
	for _, note := range found.Notes {
		fmt.Fprintln(out, printable(note))
	}
	return nil
}

// entries returns how many lines or keys were read.
func entries(found importer.Result) string {
	unit := found.Unit + "s"
	switch {
	case found.Entries == 1:
		unit = found.Unit
	case found.Unit == "entry":
		unit = "entries"
	}
	return thousands(found.Entries) + " " + unit
}
