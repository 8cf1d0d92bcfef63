package importer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
)

// rows are the rows of a table after its header.
type rows struct {
	*table.Reader
	header []string
	member string // the name of the table within an archive; else empty
}

func openRows(open func() (*bufio.Reader, error), member string) (rows, error) {
	text, err := open()
	if err != nil {
		return rows{}, err
	}
	reader, err := table.NewReader(text, false) // titles may contain quotes
	if err != nil {
		return rows{}, err
	}
	header, _, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return rows{}, errors.New("it is empty")
	}
	if err != nil {
		return rows{}, fmt.Errorf("its first line cannot be read: %w", err)
	}
	return rows{reader, slices.Clone(header), member}, nil
}

// columns returns the indexes of columns by their names. Its error names a missing one.
func (r rows) columns(names ...string) (map[string]int, error) {
	at := map[string]int{}
	for _, name := range names {
		if at[name] = table.Column(r.header, name); at[name] < 0 {
			return nil, fmt.Errorf("its first line lacks the column %q; it is %.300q", name, strings.Join(r.header, ", "))
		}
	}
	return at, nil
}

// each passes the rows, which should have at least width columns, to use. A row for which use returns an
// error is refused.
func (r rows) each(c *collector, width int, use func(row []string) error) error {
	for {
		row, line, err := r.Read()
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
		if err := c.record(r.member, int64(line), err); err != nil {
			return err
		}
	}
}
