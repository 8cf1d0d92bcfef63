package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/tally"
)

// countResult is the effect of importing a count, or what it would be in a dry run.
type countResult struct {
	before, after int64 // counts of the topic; only of a dry run
	changed       bool
	err           error // why the topic was refused
}

// importCounts imports plain counts, or prints what that would change.
func (c *importCommand) importCounts(p *process) error {
	found, err := c.readCounts(p)
	if err != nil {
		return err
	}
	for _, r := range found.Refusals {
		fmt.Fprintln(p.stderr, printable(c.refusalPlace(r)+r.Reason))
	}
	if more := found.Refused - int64(len(found.Refusals)); more > 0 {
		fmt.Fprintf(p.stderr, "and %d more entries that cannot be read\n", more)
	}
	topics := namesOf(found.Counts, func(c importer.Count) string { return c.Topic.String() })
	client, err := p.openBackend(c.backend, storeUse{command: "import", sites: sitesOf(topics), create: true, readOnly: c.dry})
	if err != nil {
		return err
	}
	defer client.close()
	results, err := c.applyCounts(p, client, found.Counts)
	failed := 0
	for i, each := range results {
		if each.err != nil {
			failed++
			fmt.Fprintf(p.stderr, "%s: %s\n", printable(topics[i]), printable(each.err.Error()))
		}
	}
	if err != nil {
		return fmt.Errorf("%w; the counts that were set stay; run the command again to set the others", err)
	}
	if err := c.print(p.stdout, found, results); err != nil {
		return err
	}
	if failed > 0 || found.Refused > 0 {
		return exitStatus(exitFailure)
	}
	return nil
}

// readCounts reads plain counts of a file or of a Redis.
func (c *importCommand) readCounts(p *process) (found importer.Result, err error) {
	if c.format == "keys" {
		options, err := importer.ParseKeyPatterns(c.pattern, c.topic, c.seen)
		if err != nil {
			return found, fmt.Errorf("--pattern names the keys, such as 'likes:*', and --topic their topics, such as 'blog/likes/{1}': %w", err)
		}
		options.Hosts = c.mapping.Hosts
		return importer.ReadKeys(p.ctx, c.from, options)
	}
	file, closeFile, err := openCounts(c.path)
	if err != nil {
		return found, err
	}
	defer func() {
		if err = errors.Join(err, closeFile()); err != nil {
			err = fmt.Errorf("%s: %w", c.path, err)
		}
	}()
	if read := importer.Formats[c.format]; read != nil {
		return read(file, c.mapping)
	}
	c.layout.Hosts = c.mapping.Hosts
	if c.topic != "" {
		if c.layout.Template, err = importer.ParseTemplate(c.topic, 1); err != nil {
			return found, fmt.Errorf("--topic: %w", err)
		}
	}
	if c.format == "json" {
		return importer.ReadCountsJSON(file, c.layout)
	}
	return importer.ReadCountsCSV(file, c.layout)
}

// openCounts opens a file of plain counts, or a copy of standard input, because importers
// read a file more than once.
func openCounts(path string) (file importer.File, closeFile func() error, err error) {
	var in *os.File
	if path == "-" {
		if in, err = os.CreateTemp("", "tallycast-import-"); err != nil {
			return file, nil, fmt.Errorf("copy standard input to a file: %w", err)
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
		return file, nil, fmt.Errorf("%s cannot be read: %w", path, plaintext.FileError(err))
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

// refusalPlace returns the file and line of an entry; empty for a key of a Redis, which the
// reason names.
func (c *importCommand) refusalPlace(r importer.Refusal) string {
	switch {
	case r.Line == 0:
		return ""
	case r.File != "":
		return fmt.Sprintf("%s/%s:%d: ", c.path, r.File, r.Line)
	}
	return fmt.Sprintf("%s:%d: ", c.path, r.Line)
}

// applyCounts sets the counts, or computes what that would change. Its error ends the import; a
// topic that was refused has an error in its result.
func (c *importCommand) applyCounts(p *process, client *adminClient, counts []importer.Count) (results []countResult, err error) {
	if err := padOptions(p.ctx, client, counts); err != nil {
		return nil, err
	}
	m := p.meter("import")
	defer m.end()
	if c.as == "seed" && !c.dry {
		seeds := make([]admin.SeedEdit, len(counts))
		for i, each := range counts {
			seeds[i] = admin.SeedEdit{Topic: each.Topic.String(), Seed: each.Numbers()}
		}
		answers, err := client.setSeeds(p.ctx, seeds, false, m)
		for _, each := range answers {
			result := countResult{changed: each.Changed}
			if each.Error != nil {
				result.err = each.Error
			}
			results = append(results, result)
		}
		return results, err
	}
	m.total = int64(len(counts))
	apply, size := c.setCounts, topicsPerCall
	if c.dry {
		apply, size = c.applyCount, 1
	}
	for len(results) < len(counts) {
		rest := counts[len(results):]
		some, err := apply(p.ctx, client, rest[:min(size, len(rest))])
		if size > 1 && isMethodNotAllowed(err) { // a service of the release 0.2.0
			apply, size = c.applyCount, 1
			continue
		}
		if err != nil {
			return results, err
		}
		results = append(results, some...)
		m.at(int64(len(results)), counted(int64(len(results)), "topic"))
	}
	return results, nil
}

// setCounts sets one number of each topic, in one call.
func (c *importCommand) setCounts(ctx context.Context, client *adminClient, counts []importer.Count) ([]countResult, error) {
	changes := make([]map[string]any, len(counts))
	for i, each := range counts {
		changes[i] = map[string]any{"topic": each.Topic.String(), c.as: each.Numbers()}
	}
	var answer struct {
		Topics []struct {
			Changed bool
			Error   *admin.ItemError
		}
	}
	if _, err := client.call(ctx, http.MethodPatch, "/admin/v1/topics", map[string]any{"topics": changes}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Topics) != len(counts) {
		return nil, fmt.Errorf("%s answered %d of %d topics", client.label, len(answer.Topics), len(counts))
	}
	results := make([]countResult, len(counts))
	for i, each := range answer.Topics {
		results[i].changed = each.Changed
		if each.Error != nil {
			results[i].err = each.Error
		}
	}
	return results, nil
}

// padOptions appends a 0 to each count for each further option of its metric.
func padOptions(ctx context.Context, client *adminClient, counts []importer.Count) error {
	rules := map[string]tally.Rule{} // by metric
	for i := range counts {
		count := &counts[i]
		if count.Options == "" {
			continue
		}
		metric := count.Topic.Metric()
		if _, known := rules[metric]; !known {
			var s admin.State
			if _, err := client.call(ctx, http.MethodGet, topicPath(count.Topic.String()), nil, &s); err != nil && !isTopicError(err) {
				return err
			}
			rules[metric] = tally.Rule{Kind: tally.Choice, Max: int64(s.Options.Len())}
		}
		count.Options = rules[metric].Pad(count.Options)
	}
	return nil
}

// applyCount sets one number of the topic of the first count, or computes what that would change.
func (c *importCommand) applyCount(ctx context.Context, client *adminClient, counts []importer.Count) ([]countResult, error) {
	result, err := c.applyOne(ctx, client, counts[0])
	if err != nil && !isTopicError(err) {
		return nil, err
	}
	result.err = cmp.Or(result.err, err)
	return []countResult{result}, nil
}

func (c *importCommand) applyOne(ctx context.Context, client *adminClient, count importer.Count) (countResult, error) {
	path := topicPath(count.Topic.String())
	if !c.dry {
		var answer admin.Edited
		_, err := client.call(ctx, http.MethodPatch, path, map[string]tally.Numbers{c.as: count.Numbers()}, &answer)
		return countResult{changed: answer.Changed}, err
	}
	var s admin.State
	if _, err := client.call(ctx, http.MethodGet, path, nil, &s); err != nil {
		return countResult{}, err
	}
	edit := tally.Edit{Topic: count.Topic, Kind: importKinds[c.as]}
	edit.SetNumbers(count.Numbers())
	rule := tally.Rule{Kind: tally.Toggle, Max: 1} // or any other without options
	if s.Options != "" {
		rule = tally.Rule{Kind: tally.Choice, Max: int64(s.Options.Len())}
	}
	if err := edit.Validate(rule); err != nil {
		return countResult{err: err}, nil
	}
	edit.Preview(tally.State{
		Change: tally.Change{Topic: count.Topic, Count: s.Count, Options: s.Options, Version: s.Version},
		Seed:   s.Seed.Total, SeedOptions: s.Seed.Options, Adjustment: s.Adjustment.Total, AdjustmentOptions: s.Adjustment.Options,
	})
	return countResult{before: s.Count, after: edit.After.Count, changed: edit.Changed}, nil
}

// print prints what would change, the topics whose number of visitors by --seen differs from the
// count, and a summary.
func (c *importCommand) print(out io.Writer, found importer.Result, results []countResult) error {
	t := newTable("TOPIC", "FOUND")
	if c.dry {
		t.head = append(t.head, "COUNT", "WOULD BE")
	}
	if c.seen != "" {
		t.head = append(t.head, "SEEN")
	}
	changed := int64(0)
	for i, count := range found.Counts {
		result := results[i]
		if result.err != nil {
			continue
		}
		if result.changed {
			changed++
		}
		differs := count.Seen >= 0 && count.Seen != count.Count
		if !differs && !(c.dry && result.changed) {
			continue
		}
		row := []string{count.Topic.String(), fmt.Sprint(count.Count)}
		if c.dry {
			row = append(row, fmt.Sprint(result.before), fmt.Sprint(result.after))
		}
		if count.Seen >= 0 {
			row = append(row, fmt.Sprint(count.Seen))
		}
		t.add(row...)
	}
	if err := t.write(out); err != nil {
		return err
	}
	sum, seen := found.Sum()
	entries := strings.Replace(counted(found.Entries, found.Unit), "entrys", "entries", 1)
	fmt.Fprintf(out, "%s in %s, together %s; %d %s.\n", counted(int64(len(found.Counts)), "topic"), entries, thousands(sum), changed, changedVerb(c.dry))
	if c.seen != "" {
		fmt.Fprintf(out, "The keys of --seen hold %s visitors. These numbers are not imported.\n", thousands(seen))
	}
	for _, why := range slices.Sorted(maps.Keys(found.Skipped)) {
		fmt.Fprintf(out, "Skipped: %s (%s).\n", why, thousands(found.Skipped[why]))
	}
	for _, note := range found.Notes {
		fmt.Fprintln(out, printable(note))
	}
	return nil
}
