package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/tallycast/tallycast/internal/tally"
)

// ExportCounts writes the topics of scope with their counts, as CSV with a header or as a
// JSON array of objects. Objects of choice metrics have the counts of the options; CSV has
// them, a row for each, if the scope is one choice metric. It reads the contributions too:
// in a store without an index of topic names, such as Redis, each page of a listing would
// read all keys.
func ExportCounts(ctx context.Context, source Source, scope tally.Scope, asJSON bool, w io.Writer) error {
	out := bufio.NewWriterSize(w, writeBytes)
	table := csv.NewWriter(out) // without a buffer of its own
	topics := 0
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		if !p.Last {
			return nil
		}
		topics++
		if asJSON {
			return writeCountJSON(out, p.Change, topics == 1)
		}
		return writeCountCSV(table, p.Change, scope.Metric != "", topics == 1)
	})
	switch {
	case err != nil:
	case !asJSON && topics == 0:
		err = table.Write([]string{"topic", "count"})
	case asJSON && topics == 0:
		_, err = out.WriteString("[\n]\n")
	case asJSON:
		_, err = out.WriteString("\n]\n")
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func writeCountJSON(out *bufio.Writer, c tally.Change, isFirst bool) error {
	var text bytes.Buffer
	err := tally.NewEncoder(&text).Encode(struct {
		Topic   string        `json:"topic"`
		Count   int64         `json:"count"`
		Options tally.Options `json:"options,omitempty"`
	}{c.Topic.String(), c.Count, c.Options})
	if err != nil {
		return err
	}
	begin := ",\n"
	if isFirst {
		begin = "[\n"
	}
	_, _ = out.WriteString(begin) // an error occurs again at the next write
	_, err = out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}

// writeCountCSV writes the rows of a topic, the first one after the header. A topic begins with
// the name of a site, so no spreadsheet takes it for a formula.
func writeCountCSV(table *csv.Writer, c tally.Change, byOption, isFirst bool) error {
	topic := c.Topic.String()
	rows := [][]string{{"topic", "count"}, {topic, strconv.FormatInt(c.Count, 10)}}
	if byOption && c.Options != "" {
		rows = [][]string{{"topic", "option", "count"}}
		for i, count := range c.Options.Numbers() {
			rows = append(rows, []string{topic, strconv.Itoa(i + 1), strconv.FormatInt(count, 10)})
		}
	}
	if !isFirst {
		rows = rows[1:]
	}
	for _, row := range rows {
		if err := table.Write(row); err != nil {
			return err
		}
	}
	return nil
}
