package table_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/table"
)

// all returns the rows with their lines, and the lines of invalid rows.
func all(t *testing.T, text string, strict bool) (rows, invalid []string) {
	t.Helper()
	r, err := table.NewReader(strings.NewReader(text), strict)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for {
		row, line, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return rows, invalid
		case errors.As(err, new(*table.RowError)):
			invalid = append(invalid, fmt.Sprint(line))
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, fmt.Sprintf("%d:%s", line, strings.Join(row, "|")))
		}
	}
}

func TestRead_Dialects(t *testing.T) {
	for text, want := range map[string][]string{
		"a,b\n1,2\n":                           {"1:a|b", "2:1|2"},
		"a;b\n1,5;2\n":                         {"1:a|b", "2:1,5|2"},
		"a\tb\n1,5\t2;3\n":                     {"1:a|b", "2:1,5|2;3"},
		"\"a, b\";c\n1;2\n":                    {"1:a, b|c", "2:1|2"},
		"sep=;\r\na;b\r\n1;2\r\n":              {"2:a|b", "3:1|2"},
		"SEP=,\na;x,b\n":                       {"2:a;x|b"},
		"\"sep=|\"\na|b,c\n":                   {"2:a|b,c"},
		"sep=\t\na\tb\n":                       {"2:a|b"},
		"sep=\\t\na\tb\n":                      {"2:a|b"},
		"\ufeffsep=;\na;b\n":                   {"2:a|b"},
		"one\ntwo\n":                           {"1:one", "2:two"},
		"a,b\r1,2\r":                           {"1:a|b", "2:1|2"},
		"sep,b\n1,2\n":                         {"1:sep|b", "2:1|2"},
		"":                                     nil,
		"\n \r\na;b\n1;2\n":                    {"3:a|b", "4:1|2"},
		"# ---\n# Report, 2024\n#\na;b\n1;2\n": {"4:a|b", "5:1|2"}, // Google Analytics
		"#;b\n1;2\n":                           {"1:#|b", "2:1|2"},
		"#1;b\n1;2\n":                          {"1:#1|b", "2:1|2"},
		"a;b\n;\n\n1;2\n;;\n":                  {"1:a|b", "4:1|2"}, // rows that spreadsheets leave
	} {
		if rows, invalid := all(t, text, false); !slices.Equal(rows, want) || len(invalid) > 0 {
			t.Errorf("%q: %q, %v", text, rows, invalid)
		}
	}
	for _, text := range []string{"sep=\na\n", "sep=;;\na\n", "sep=\"\na\n", "sep=ä\na\n"} {
		if _, err := table.NewReader(strings.NewReader(text), false); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestRead_InvalidRows(t *testing.T) {
	const text = "a,b\nx\"y,1\n\"open,2\nz,3\n"
	if rows, invalid := all(t, text, false); !slices.Equal(rows, []string{"1:a|b", "2:x\"y|1", "4:z|3"}) || !slices.Equal(invalid, []string{"3"}) {
		t.Errorf("%q, %v", rows, invalid)
	}
	if rows, invalid := all(t, text, true); !slices.Equal(rows, []string{"1:a|b", "4:z|3"}) || !slices.Equal(invalid, []string{"2", "3"}) {
		t.Errorf("strict: %q, %v", rows, invalid)
	}
}
