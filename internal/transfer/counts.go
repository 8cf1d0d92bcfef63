package transfer

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// ExportCounts writes topic and count of all topics of scope, as CSV with a header or
// as a JSON array of objects, for spreadsheets and programs. It reads all contributions
// on the way: of a listing each page would cost a store without an order of names, such
// as Redis, a look at all keys.
func ExportCounts(ctx context.Context, source Source, scope tally.Scope, asJSON bool, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporter{w: w, progress: progress, buffer: make([]byte, 0, 2*writeBytes)}
	begin, end := "topic,count\n", ""
	if asJSON {
		begin, end = "[", "\n]\n"
	}
	e.buffer = append(e.buffer, begin...)
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		e.done.Contributions += int64(len(p.Contributions))
		if !p.Last {
			return nil
		}
		if asJSON {
			e.buffer = appendCountJSON(e.buffer, p.Change, e.done.Topics == 0)
		} else {
			e.buffer = appendCountCSV(e.buffer, p.Change)
		}
		e.done.Topics++
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

// appendCountCSV appends a row (RFC 4180). No topic looks like a formula to a
// spreadsheet, since it begins with the name of a site.
func appendCountCSV(dst []byte, c tally.Change) []byte {
	topic := c.Topic.String()
	if strings.ContainsAny(topic, `",`) {
		topic = `"` + strings.ReplaceAll(topic, `"`, `""`) + `"`
	}
	dst = append(append(dst, topic...), ',')
	return append(strconv.AppendInt(dst, c.Count, 10), '\n')
}
