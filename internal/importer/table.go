package importer

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
)

// openTable returns the header of a table and a reader of its other rows.
func openTable(r io.Reader) (header []string, rows *table.Reader, err error) {
	rows, err = table.NewReader(r, false) // titles may contain quotes
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

// columns returns the indexes of columns by their names. Its error names a missing one.
func columns(header []string, names ...string) (map[string]int, error) {
	at := map[string]int{}
	for _, name := range names {
		if at[name] = table.Column(header, name); at[name] < 0 {
			return nil, fmt.Errorf("its first line lacks the column %q; it is %.300q", name, strings.Join(header, ", "))
		}
	}
	return at, nil
}

// eachRow passes the other rows, which should have at least width columns, to use. It refuses
// a row for which use returns an error. member is the name of the file within an archive.
func (c *collector) eachRow(rows *table.Reader, member string, width int, use func(row []string) error) error {
	for {
		row, line, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*table.RowError)):
		case err != nil:
			return fmt.Errorf("read the rows: %w", err)
		case len(row) < width:
			err = fmt.Errorf("it has %d columns and should have %d", len(row), width)
		default:
			err = use(row)
		}
		if err := c.record(member, int64(line), err); err != nil {
			return err
		}
	}
}
