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
// JSON array of objects. Objects of choice metrics have the counts of the options; CSV has
// them, a row for each, if the scope is one choice metric. It reads the contributions too:
// in a store without an index of topic names, such as Redis, each page of a listing would
// read all keys.
func ExportCounts(ctx context.Context, source Source, scope tally.Scope, asJSON bool, w io.Writer, progress func(Progress)) (Totals, error) {
	e := &exporter{w: w, progress: progress}
	const csvHead, optionsHead = "topic,count\n", "topic,option,count\n"
	if asJSON {
		e.buffer = append(e.buffer, '[')
	}
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		switch {
		case p.Last && asJSON:
			e.buffer = appendCountJSON(e.buffer, p.Change, e.done.Topics == 0)
		case p.Last && p.Options != "" && scope.Metric != "":
			if e.done.Topics == 0 {
				e.buffer = append(e.buffer, optionsHead...)
			}
			for i, count := range p.Options.Numbers() {
				e.buffer = appendCSV(e.buffer, p.Topic, int64(i+1), count)
			}
		case p.Last:
			if e.done.Topics == 0 {
				e.buffer = append(e.buffer, csvHead...)
			}
			e.buffer = appendCSV(e.buffer, p.Topic, p.Count)
		}
		e.done.add(p)
		return e.flush(writeBytes)
	})
	if err != nil {
		return e.done.Totals, fmt.Errorf("export: %w", err)
	}
	switch {
	case asJSON:
		e.buffer = append(e.buffer, "\n]\n"...)
	case e.done.Topics == 0:
		e.buffer = append(e.buffer, csvHead...)
	}
	return e.done.Totals, e.flush(0)
}

func appendCountJSON(dst []byte, c tally.Change, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = tally.AppendJSONString(append(dst, "\n{\"topic\":"...), c.Topic.String())
	dst = strconv.AppendInt(append(dst, `,"count":`...), c.Count, 10)
	if c.Options != "" {
		dst = append(append(append(dst, `,"options":[`...), c.Options...), ']')
	}
	return append(dst, '}')
}

// appendCSV appends a row (RFC 4180). A topic begins with the name of a site, so no
// spreadsheet takes it for a formula.
func appendCSV(dst []byte, name tally.Topic, numbers ...int64) []byte {
	topic := name.String()
	if strings.ContainsAny(topic, `",`) {
		topic = `"` + strings.ReplaceAll(topic, `"`, `""`) + `"`
	}
	dst = append(dst, topic...)
	for _, n := range numbers {
		dst = strconv.AppendInt(append(dst, ','), n, 10)
	}
	return append(dst, '\n')
}
