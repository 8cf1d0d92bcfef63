package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth bounds how deep objects with fields stand within each other.
const maxDepth = 64

// jsonFields reads a JSON object, which is known to be one. An object that names a
// field twice is refused, since programs differ in which of them holds.
func jsonFields(text []byte) (fields, int, error) {
	o := jsonObject{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	o.decoder.UseNumber()
	if _, err := o.decoder.Token(); err != nil {
		return nil, 0, fmt.Errorf("is not JSON: %w", err)
	}
	if err := o.read("", 1); err != nil {
		return nil, o.line, err
	}
	return o.all.find, 0, nil
}

// jsonObject is a JSON object that is being read.
type jsonObject struct {
	text    []byte
	decoder *json.Decoder
	at      int64 // up to which lines are counted
	line    int   // of that
	all     entries
}

// read adds the fields of an object whose opening brace was read.
func (o *jsonObject) read(table string, depth int) error {
	if depth > maxDepth {
		return errors.New("its objects are nested too deep")
	}
	names := map[string]bool{}
	for o.decoder.More() {
		token, err := o.decoder.Token()
		if err != nil {
			return fmt.Errorf("is not JSON: %w", err)
		}
		name, _ := token.(string) // names of fields are strings
		offset := o.decoder.InputOffset()
		o.line += bytes.Count(o.text[o.at:offset], []byte("\n"))
		o.at = offset
		if names[name] {
			return fmt.Errorf("names the field %s twice", shortened(name))
		}
		names[name] = true
		if table != "" {
			name = table + "." + name
		}
		if err := o.value(name, depth); err != nil {
			return err
		}
	}
	_, err := o.decoder.Token()
	if err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	return nil
}

func (o *jsonObject) value(name string, depth int) error {
	rest := bytes.TrimLeft(o.text[o.at:], " \t\r\n:")
	if len(rest) > 0 && rest[0] == '[' {
		var list json.RawMessage
		o.all.add(name, list, o.line)
		return o.decoder.Decode(&list)
	}
	value, err := o.decoder.Token()
	if err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	o.all.add(name, value, o.line)
	if value == json.Delim('{') {
		return o.read(name, depth+1)
	}
	return nil
}
