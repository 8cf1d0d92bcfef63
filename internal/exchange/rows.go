package exchange

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tallycast/tallycast/internal/quotes"
)

// byteOrderMark begins texts that some programs write.
const byteOrderMark = "\ufeff"

// rows reads CSV. Rows may have any number of columns.
type rows struct{ reader *csv.Reader }

func newRows(r io.Reader) *rows {
	buffered := bufio.NewReaderSize(r, readBytes)
	if head, err := buffered.Peek(len(byteOrderMark)); err == nil && string(head) == byteOrderMark {
		_, _ = buffered.Discard(len(byteOrderMark)) // it was peeked
	}
	reader := csv.NewReader(quotes.Reader(buffered, ','))
	reader.FieldsPerRecord = -1
	reader.ReuseRecord = true
	reader.LazyQuotes = true // a quote within a title costs no row
	return &rows{reader}
}

// next returns a row, which is good until the next call, and the line it begins on.
// An error of one row is a *csv.ParseError; the next row may follow.
func (r *rows) next() (row []string, line int64, err error) {
	row, err = r.reader.Read()
	if err != nil {
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return nil, int64(wrong.StartLine), err
		}
		return nil, 0, err
	}
	at, _ := r.reader.FieldPos(0)
	if quotes.In(row) {
		return nil, int64(at), &csv.ParseError{StartLine: at, Line: at, Err: quotes.ErrOpen}
	}
	return row, int64(at), nil
}

// columns returns where the columns that are named stand in a header.
func columns(header []string, names ...string) (map[string]int, error) {
	at := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := at[name]; !twice {
			at[name] = i
		}
	}
	for _, name := range names {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("there is no column %q", name)
		}
	}
	return at, nil
}

// eachJSON hands over the elements of an array, with their numbers from 1, or the
// members of an object with their names. Memory holds one at a time.
func eachJSON(r io.Reader, each func(entry int64, name string, text json.RawMessage)) error {
	decoder := json.NewDecoder(r)
	start, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	delimiter, _ := start.(json.Delim)
	if delimiter != '[' && delimiter != '{' {
		return errors.New("it is neither a JSON array nor an object")
	}
	for entry := int64(1); decoder.More(); entry++ {
		name := ""
		if delimiter == '{' {
			token, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("after entry %d: %w", entry-1, err)
			}
			name, _ = token.(string) // names of members are strings
		}
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return fmt.Errorf("entry %d: %w", entry, err)
		}
		each(entry, name, text)
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("its end is missing: %w", err)
	}
	return nil
}
