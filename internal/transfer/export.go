package transfer

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Source is what an export is made of: part of a [tally.Ledger].
type Source interface {
	Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error
	Settings(ctx context.Context) (map[string]string, error)
}

// Progress is how far an export or import has come.
type Progress struct {
	Totals
	Bytes int64 // of the file
}

// writeBytes is the size of what is written at once: few calls, and little memory.
const writeBytes = 64 << 10

// Export writes what source holds of scope to w. Rules are those of catalog. progress,
// which may be nil, is called after each write. What was written before an error lacks
// its last line, and will be recognised as incomplete.
func Export(ctx context.Context, source Source, catalog *tally.Catalog, header Header, scope tally.Scope, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporter{w: w, progress: progress, buffer: make([]byte, 0, 2*writeBytes)}
	e.buffer = appendHeader(e.buffer, header)
	register, err := source.Settings(ctx)
	if err != nil {
		return e.done.Totals, fmt.Errorf("read the register: %w", err)
	}
	if tally.MergeUnderWay(register) {
		return e.done.Totals, errMerging
	}
	for _, name := range slices.Sorted(maps.Keys(register)) {
		if isExported(name, scope) {
			e.buffer = appendSetting(e.buffer, name, register[name])
		}
	}
	err = source.Dump(ctx, scope, func(p tally.Portion) error {
		rule := catalog.Rule(p.Topic)
		line := Line{Portion: p, Rule: rule.String()}
		if rule.Kind == tally.Window && len(p.Contributions) > 0 {
			line.Until = windowEnd(rule, time.Now())
		}
		e.buffer = appendLine(e.buffer, line)
		if p.Last {
			e.done.Topics++
		}
		e.done.Contributions += int64(len(p.Contributions))
		return e.flush(writeBytes)
	})
	if err == nil {
		err = checkUnmerged(ctx, source, register)
	}
	if err != nil {
		return e.done.Totals, fmt.Errorf("export: %w", err)
	}
	e.buffer = appendTotals(e.buffer, e.done.Totals)
	return e.done.Totals, e.flush(0)
}

// errMerging is the error of what would count contributions twice: while a topic is merged
// into another both hold some of them.
var errMerging error = &tally.Error{
	Code:       tally.CodeStoreUnavailable,
	Message:    "topics are being merged or renamed; export or copy again when that is over",
	RetryAfter: time.Second,
}

// checkUnmerged reports whether topics were merged since the register was read.
func checkUnmerged(ctx context.Context, source Source, before map[string]string) error {
	register, err := source.Settings(ctx)
	if err == nil && tally.MergeState(register) != tally.MergeState(before) {
		err = errMerging
	}
	return err
}

// exporter is an export under way.
type exporter struct {
	w        io.Writer
	progress func(Progress)
	buffer   []byte // lines not yet written
	done     Progress
}

// flush writes what there is where it is more than some bytes.
func (e *exporter) flush(more int) error {
	if len(e.buffer) <= more {
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

// windowEnd returns when the window that holds now ends, in seconds since 1970: windows
// begin at whole multiples of their length.
func windowEnd(rule tally.Rule, now time.Time) int64 {
	length := int64(rule.Window / time.Second)
	return (now.Unix()/length + 1) * length
}

// isExported tells whether an entry of the register goes with an export of scope: former
// names of its topics, without which visitors would not be known again, and, where the
// whole store is exported, who is blocked.
func isExported(name string, scope tally.Scope) bool {
	if text, ok := strings.CutPrefix(name, "former "); ok {
		topic, err := tally.ParseTopic(text)
		return err == nil && scope.Contains(topic)
	}
	return strings.HasPrefix(name, "block ") && scope == tally.Scope{}
}
