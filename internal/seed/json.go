package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tallycast/tallycast/internal/table"
)

// maxDepth bounds the depth of JSON objects and lists.
const maxDepth = 64

// readJSON reads a JSON object. It refuses an object with a name twice, since programs differ in which
// of the two values they use.
func readJSON(text []byte) (object, int, error) {
	r := table.NewJSONReader(bytes.NewReader(text), 1)
	r.UseNumber()
	value, err := jsonValue(r, 0)
	if err != nil {
		return nil, r.Line(), err
	}
	o, ok := value.(object)
	if !ok {
		return nil, 1, errors.New("is not a JSON object")
	}
	return o, 0, nil
}

func jsonValue(r *table.JSONReader, depth int) (any, error) {
	token, err := r.Token()
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if depth > maxDepth {
		return nil, errors.New("its objects are nested too deep")
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for r.More() {
			value, err := jsonValue(r, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = r.Token()
		return list, err
	case json.Delim('{'):
		o := object{}
		for r.More() {
			token, err := r.Token()
			if err != nil {
				return nil, fmt.Errorf("is not JSON: %w", err)
			}
			name, _ := token.(string) // names are strings
			line := r.Line()
			if _, twice := o[name]; twice {
				return nil, fmt.Errorf("has the name %.40s twice", name)
			}
			value, err := jsonValue(r, depth+1)
			if err != nil {
				return nil, err
			}
			o[name] = entry{value, line}
		}
		_, err = r.Token()
		return o, err
	}
	return token, nil
}
