package table_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/table"
)

func TestJSONReader_Each(t *testing.T) {
	for text, want := range map[string][]string{
		"[1,\n {\"a\":\n2},\n\"x\"]":       {"1::1", "2::{\"a\":\n2}", "4::\"x\""},
		"\n{\"a\": 1,\n\n\"b\":\n[2]}":     {"2:a:1", "5:b:[2]"},
		"[]":                               nil,
		"[1,\n2":                           {"1::1", "2::2", "2 it is not JSON: it ends too early"},
		"[1,\n\n2 x]":                      {"1::1", "3::2", "3 it is not JSON: expected comma after array element"},
		"":                                 {"1 it is not JSON: it ends too early"},
		"\n5":                              {"2 it is neither a JSON array nor an object"},
		"{\"a\": 1}\n{\"b\": 2}":           {"1:a:1", "2 another JSON value begins; put the objects into one array: [{…}, {…}]"},
		"[1]\n\n]":                         {"1::1", "3 it is not JSON: invalid character ']' looking for beginning of value"},
		"{\"a\":" + strings.Repeat("[", 9): {"1 it is not JSON: it ends too early"},
	} {
		var got []string
		err := table.NewJSONReader(strings.NewReader(text), 1).Each(func(name string, value json.RawMessage, line int) error {
			got = append(got, fmt.Sprintf("%d:%s:%s", line, name, value))
			return nil
		})
		if row, ok := errors.AsType[*table.RowError](err); ok {
			got = append(got, fmt.Sprintf("%d %v", row.Line, row))
		} else if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q:\n%q, want\n%q", text, got, want)
		}
	}
}
