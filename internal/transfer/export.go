package transfer

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Source is the part of a [tally.Ledger] that an export reads.
type Source interface {
	tally.Dumper
	tally.SettingsReader
}

// Progress is what an export, an import or a copy has done so far.
type Progress struct {
	Totals
	Bytes int64 // written by an export
}

// writeBytes is the size of one write: large enough for few calls, small in memory.
const writeBytes = 64 << 10

// Export writes the topics of scope and their settings to w, with the rules of catalog. It
// calls progress, which may be nil, after each write. After an error the output lacks its
// last line, by which an import recognises that it is incomplete.
func Export(ctx context.Context, source Source, catalog *tally.Catalog, header Header, scope tally.Scope, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporter{w: w, progress: progress}
	e.buffer = appendJSON(e.buffer, header)
	settings, err := unmergedSettings(ctx, source)
	if err != nil {
		return e.done.Totals, err
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if isExported(name, scope) {
			e.buffer = appendJSON(e.buffer, settingRecord{name, settings[name]})
		}
	}
	err = source.Dump(ctx, scope, func(p tally.Portion) error {
		rule := catalog.Rule(p.Topic)
		line := Line{Portion: p, Rule: rule.String()}
		if rule.Kind == tally.Window && len(p.Contributions) > 0 {
			line.Until = rule.WindowEnd(time.Now())
		}
		e.buffer = appendJSON(e.buffer, line.record())
		e.done.add(p)
		return e.flush(writeBytes)
	})
	if err == nil {
		err = checkUnmerged(ctx, source, settings)
	}
	if err != nil {
		return e.done.Totals, fmt.Errorf("export: %w", err)
	}
	e.buffer = appendJSON(e.buffer, totalRecord{&e.done.Totals})
	return e.done.Totals, e.flush(0)
}

// errMerging is the error of an export or copy during a merge: both topics of a merge hold
// the same contributions, which would count twice.
var errMerging error = &tally.Error{
	Code:       tally.CodeStoreUnavailable,
	Message:    "topics are being merged or renamed; export or copy again when the merge has ended",
	RetryAfter: time.Second,
}

// unmergedSettings returns the settings of source. Errors: errMerging during a merge.
func unmergedSettings(ctx context.Context, source Source) (map[string]string, error) {
	settings, err := source.Settings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if tally.MergeUnderWay(settings) {
		return nil, errMerging
	}
	return settings, nil
}

// checkUnmerged returns errMerging if topics were merged since the settings were read.
func checkUnmerged(ctx context.Context, source Source, before map[string]string) error {
	settings, err := source.Settings(ctx)
	if err == nil && tally.MergeState(settings) != tally.MergeState(before) {
		err = errMerging
	}
	return err
}

// exporter writes an export.
type exporter struct {
	w        io.Writer
	progress func(Progress)
	buffer   []byte // lines to be written
	done     Progress
}

// flush writes the buffer if it has more than threshold bytes.
func (e *exporter) flush(threshold int) error {
	if len(e.buffer) <= threshold {
		return nil
	}
	n, err := e.w.Write(e.buffer)
	e.done.Bytes += int64(n)
	e.buffer = e.buffer[:0]
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	if e.progress != nil {
		e.progress(e.done)
	}
	return nil
}

// isExported reports whether an export of scope contains a setting: the aliases of its
// topics, under which visitors are recognised, the blocks in its site if it is a whole site,
// and, in an export of everything, all blocks.
func isExported(name string, scope tally.Scope) bool {
	if topic, _, ok, err := tally.ParseAliasSetting(name, ""); ok {
		return err == nil && scope.Contains(topic)
	}
	block, ok := tally.ParseBlock(name)
	return ok && (scope == tally.Scope{} || scope == tally.Scope{Site: block.Site})
}
