package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// maxDocument bounds a JSON document, in bytes, which is read at once: about a
// million topics.
const maxDocument = 64 << 20

// document adds what a JSON document gives, which is one of
//
//	{"hello": 12, "about": 3}                         keys, of the one metric
//	{"hello": {"likes": 12, "applause": 30}}          keys with fields
//	[{"slug": "hello", "likes": 12}]                  objects with fields
//	{"counts": [{"topic": "blog/likes/hello", "count": 12}]}   as the service answers
func (f *fileResult) document(r Rules, in io.Reader) error {
	decoded, err := plaintext.NewReader(in)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(decoded, maxDocument+1))
	if err != nil {
		return err
	}
	if len(text) > maxDocument {
		return fmt.Errorf("has more than %d bytes; as CSV it may have any number", maxDocument)
	}
	d := document{fileResult: f, rules: r, text: text, line: 1}
	return d.read(text, 0)
}

// document is a JSON document that is being read.
type document struct {
	*fileResult
	rules Rules
	text  []byte
	// Lines are counted as far as they were asked for.
	at   int64
	line int
}

// lineAt returns the line of an offset that is not before the last one asked for.
func (d *document) lineAt(offset int64) int {
	// The decoder stands before white space and separators.
	for offset < int64(len(d.text)) && bytes.IndexByte([]byte(" \t\r\n,:"), d.text[offset]) >= 0 {
		offset++
	}
	if offset > d.at {
		d.line += bytes.Count(d.text[d.at:offset], []byte("\n"))
		d.at = offset
	}
	return d.line
}

// read takes the objects of an array, or the entries of an object, that begins at
// an offset of the document.
func (d *document) read(text []byte, base int64) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	opening, err := decoder.Token()
	if err != nil {
		return d.malformed(err, base)
	}
	if opening != json.Delim('[') && opening != json.Delim('{') {
		return errors.New(`should be an object such as {"hello": 12}, or a list of objects`)
	}
	for decoder.More() {
		line := d.lineAt(base + decoder.InputOffset())
		key := ""
		if opening == json.Delim('{') {
			name, err := decoder.Token()
			if err != nil {
				return d.malformed(err, base)
			}
			key, _ = name.(string)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return d.malformed(err, base)
		}
		if key != "" && value[0] == '[' {
			if err := d.read(value, base+decoder.InputOffset()-int64(len(value))); err != nil {
				return err
			}
			continue
		}
		d.entry(key, value, line)
	}
	if _, err := decoder.Token(); err != nil {
		return d.malformed(err, base)
	}
	return nil
}

// entry takes one entry of an object, or one object of a list, which has no key.
func (d *document) entry(key string, text json.RawMessage, line int) {
	field := fields(func(string) (any, int, bool) { return nil, 0, false })
	isObject := text[0] == '{'
	switch {
	case isObject:
		var err error
		if field, _, err = jsonFields(text); err != nil {
			d.refuse(line, "%v", err)
			return
		}
	case key == "":
		d.refuse(line, `should be an object such as {"slug": "hello", "likes": 12}`)
		return
	case len(d.rules.Fields) > 1:
		d.refuse(line, "%s: one number could be of any metric; it should be an object with the fields", shortened(key))
		return
	default:
		field = func(name string) (any, int, bool) {
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			var value any
			_ = decoder.Decode(&value) // it was decoded once
			return value, 1, name == d.rules.Fields[0].Name
		}
	}
	rules := d.rules
	if key != "" {
		rules.KeyFrom = keyOfEntry
	}
	d.addRecord(rules, record{file: d.file, line: line, field: func(name string) (any, int, bool) {
		if name == keyOfEntry {
			return key, line, true
		}
		value, below, ok := field(name)
		return value, line + max(0, below-1), ok
	}})
}

// keyOfEntry is the field that an entry's name stands for; no JSON name has it, as
// it is no UTF-8.
const keyOfEntry = "\xff"

// malformed tells where a document is none.
func (d *document) malformed(err error, base int64) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line := 1 + bytes.Count(d.text[:min(base+syntax.Offset, int64(len(d.text)))], []byte("\n"))
		d.refuse(line, "is not JSON: %v; what follows was not read", err)
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		d.refuse(1+bytes.Count(d.text, []byte("\n")), "is not JSON: it ends too early")
		return nil
	}
	return err
}
