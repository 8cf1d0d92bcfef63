package transfer

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// ExportCounts writes the topics of scope with their counts, as CSV with a header or as a
// JSON array of objects. It dumps the contributions too: in a store without an index of
// topic names, such as Redis, each page of a listing reads all keys.
func ExportCounts(ctx context.Context, source Source, scope tally.Scope, asJSON bool, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporter{w: w, progress: progress}
	begin, end := "topic,count\n", ""
	if asJSON {
		begin, end = "[", "\n]\n"
	}
	e.buffer = append(e.buffer, begin...)
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		switch {
		case p.Last && asJSON:
			e.buffer = appendCountJSON(e.buffer, p.Change, e.done.Topics == 0)
		case p.Last:
			e.buffer = appendCountCSV(e.buffer, p.Change)
		}
		e.done.add(p)
		return e.flush(writeBytes)
	})
	if err != nil {
		return e.done.Totals, fmt.Errorf("export: %w", err)
	}
	e.buffer = append(e.buffer, end...)
	return e.done.Totals, e.flush(0)
}

func appendCountJSON(dst []byte, c tally.Change, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = tally.AppendJSONString(append(dst, "\n{\"topic\":"...), c.Topic.String())
	dst = strconv.AppendInt(append(dst, `,"count":`...), c.Count, 10)
	return append(dst, '}')
}

// appendCountCSV appends a row (RFC 4180). A topic begins with the name of a site, so no
// spreadsheet takes it for a formula.
func appendCountCSV(dst []byte, c tally.Change) []byte {
	topic := c.Topic.String()
	if strings.ContainsAny(topic, `",`) {
		topic = `"` + strings.ReplaceAll(topic, `"`, `""`) + `"`
	}
	dst = append(append(dst, topic...), ',')
	return append(strconv.AppendInt(dst, c.Count, 10), '\n')
}
