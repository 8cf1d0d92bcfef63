package transfer

import (
	"bufio"
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

// writeBytes is the size of one write: large enough for few calls, small in memory.
const writeBytes = 64 << 10

// Export writes the topics of scope and their settings to w, with the rules of catalog. After an
// error the output lacks its last line, so that an import recognises it as incomplete.
func Export(ctx context.Context, source Source, catalog *tally.Catalog, header Header, scope tally.Scope, w io.Writer) error {
	out := bufio.NewWriterSize(w, writeBytes)
	lines := tally.NewEncoder(out)
	_ = lines.Encode(header) // out returns the first error of w when it is flushed
	settings, err := unmergedSettings(ctx, source)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if isExported(name, scope) {
			_ = lines.Encode(settingRecord{name, settings[name]})
		}
	}
	var done Totals
	err = source.Dump(ctx, scope, func(p tally.Portion) error {
		rule := catalog.Rule(p.Topic)
		line := Line{Portion: p, Rule: rule.String()}
		if rule.Kind == tally.Window && len(p.Contributions) > 0 {
			line.Until = rule.WindowEnd(time.Now())
		}
		done.add(p)
		return lines.Encode(line.record())
	})
	if err == nil {
		err = checkUnmerged(ctx, source, settings)
	}
	if err == nil {
		err = lines.Encode(totalRecord{&done})
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// errMerging is the error of an export or copy during a merge, in which both topics have the same
// contributions, so that an import would count them twice.
var errMerging error = &tally.Error{
	Code:       tally.CodeStoreUnavailable,
	Message:    "topics are being merged or renamed; export or copy again when the merge has ended",
	RetryAfter: time.Second,
}

// unmergedSettings returns the settings of source, or errMerging during a merge.
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

// checkUnmerged returns errMerging if a merge began since the settings before were read.
func checkUnmerged(ctx context.Context, source Source, before map[string]string) error {
	settings, err := source.Settings(ctx)
	if err == nil && tally.MergeState(settings) != tally.MergeState(before) {
		err = errMerging
	}
	return err
}

// isExported reports whether an export of scope contains a setting. It contains the aliases of its
// topics, by which visitors are recognised. That of a whole site contains the blocks in this site, and
// that of all sites all blocks.
func isExported(name string, scope tally.Scope) bool {
	if topic, _, ok, err := tally.ParseAliasSetting(name, ""); ok {
		return err == nil && scope.Contains(topic)
	}
	block, ok := tally.ParseBlock(name)
	return ok && (scope == tally.Scope{} || scope == tally.Scope{Site: block.Site})
}
