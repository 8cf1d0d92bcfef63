package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/table"
)

// document adds the seeds of a JSON document, which is one of
//
//	{"hello": 12, "about": 3}                         keys, of the only metric
//	{"hello": {"likes": 12, "applause": 30}}          keys with fields
//	[{"slug": "hello", "likes": 12}]                  objects with fields
//	{"counts": [{"topic": "blog/likes/hello", "count": 12}]}   an answer of the service
func (f *fileResult) document(r Rules, in io.Reader) error {
	text, err := plaintext.NewReader(in)
	if err != nil {
		return err
	}
	err = table.NewJSONReader(text, 1).Each(func(name string, value json.RawMessage, line int) error {
		if name == "" || value[0] != '[' {
			f.documentEntry(r, name, value, line)
			return nil
		}
		return table.NewJSONReader(bytes.NewReader(value), line).Each(func(_ string, value json.RawMessage, line int) error {
			f.documentEntry(r, "", value, line)
			return nil
		})
	})
	row, ok := errors.AsType[*table.RowError](err)
	switch {
	case errors.Is(err, table.ErrSeveralValues):
		f.seeds, f.problems = nil, nil // the names in the first object are not keys
		f.refuse(row.Line, "%v", err)
		return nil
	case ok:
		f.refuse(row.Line, "%v; nothing after it was read", row.Err)
		return nil
	}
	return err
}

// documentEntry adds the seeds of an entry of an object, or of an object in a list, which has
// no name.
func (f *fileResult) documentEntry(rules Rules, name string, text json.RawMessage, line int) {
	r := table.NewJSONReader(bytes.NewReader(text), line)
	r.UseNumber()
	value, err := jsonValue(r, 0)
	if err != nil {
		f.refuse(r.Line(), "%v", err)
		return
	}
	o, ok := value.(object)
	switch {
	case ok:
	case name == "":
		f.refuse(line, `should be an object such as {"slug": "hello", "likes": 12}`)
		return
	case len(rules.Fields) > 1:
		f.refuse(line, "%.40s: a number alone could be of any of the metrics; it should be an object with the fields", name)
		return
	default:
		o = object{rules.Fields[0].Name: {value, line}}
	}
	f.addRecord(rules, record{key: name, line: line, field: o.find})
}
