package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
)

// openTable returns the rows of a text: their header and the rest.
func openTable(r io.Reader) (header []string, rows *table.Reader, err error) {
	rows, err = table.NewReader(r, false) // a quote within a title costs no row
	if err != nil {
		return nil, nil, err
	}
	header, _, err = rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("it is empty")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("its first line cannot be read: %w", err)
	}
	return slices.Clone(header), rows, nil
}

// columns returns where the columns of those names stand in a header.
// An error names those that are missing.
func columns(header []string, names ...string) (map[string]int, error) {
	at := map[string]int{}
	for _, name := range names {
		if at[name] = table.Column(header, name); at[name] < 0 {
			return nil, fmt.Errorf("its first line names no column %q; it names %.300q", name, strings.Join(header, ", "))
		}
	}
	return at, nil
}

// eachRow passes the remaining rows of at least width columns to use. What use does not
// understand is refused. member names the file within an archive.
func (a *collector) eachRow(rows *table.Reader, member string, width int, use func(row []string) error) error {
	for {
		row, line, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*table.RowError)):
		case err != nil:
			return fmt.Errorf("read the rows: %w", err)
		case len(row) < width:
			err = fmt.Errorf("it has %d columns of %d", len(row), width)
		default:
			err = use(row)
		}
		if err := a.record(member, int64(line), err); err != nil {
			return err
		}
	}
}

// maxJSONBytes bounds a value of a JSON text, in bytes, since memory holds one at a time.
const maxJSONBytes = 64 << 20

// lineCounter tells on which line an offset of a text that is read ahead stands. It
// fails if too much is read before it is asked again.
type lineCounter struct {
	io.Reader
	read  int64
	asked int64   // the last offset
	ahead []int64 // offsets of line feeds that were read and not asked for
	line  int64   // before the first of ahead
}

func newLineCounter(r io.Reader) *lineCounter { return &lineCounter{Reader: r, line: 1} }

func (l *lineCounter) Read(p []byte) (int, error) {
	if l.read-l.asked > maxJSONBytes {
		return 0, fmt.Errorf("a value has more than %d bytes", maxJSONBytes)
	}
	n, err := l.Reader.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ahead = append(l.ahead, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at returns the line of an offset that is not before the last one.
func (l *lineCounter) at(offset int64) int64 {
	n := 0
	for n < len(l.ahead) && l.ahead[n] < offset {
		n++
	}
	l.ahead = append(l.ahead[:0], l.ahead[n:]...)
	l.line += int64(n)
	l.asked = offset
	return l.line
}

// eachJSON passes the elements of an array, or the members of an object with their
// names, to each, with the line on which they begin. Memory holds one at a time.
func eachJSON(r io.Reader, each func(line int64, name string, text json.RawMessage) error) error {
	lines := newLineCounter(r)
	decoder := json.NewDecoder(lines)
	return eachElement(decoder, lines, each)
}

func eachElement(decoder *json.Decoder, lines *lineCounter, each func(line int64, name string, text json.RawMessage) error) error {
	line := func() int64 { return lines.at(decoder.InputOffset()) }
	start, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	delimiter, _ := start.(json.Delim)
	if delimiter != '[' && delimiter != '{' {
		return errors.New("it is neither a JSON array nor an object")
	}
	for decoder.More() {
		name := ""
		if delimiter == '{' {
			token, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("line %d: %w", line(), err)
			}
			name, _ = token.(string) // names of members are strings
		}
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return fmt.Errorf("line %d: %w", line(), err)
		}
		if err := each(lines.at(decoder.InputOffset()-int64(len(text))), name, text); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("its end is missing: %w", err)
	}
	return nil
}
