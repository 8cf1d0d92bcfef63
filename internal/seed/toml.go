package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// readTOML reads TOML. Numbers and dates stay as they are written.
func readTOML(text []byte) (object, int, error) {
	var checked map[string]any
	if err := toml.Unmarshal(text, &checked); err != nil {
		line := 0
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ = e.Position()
		}
		return nil, line, fmt.Errorf("is not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	r := tomlReader{}
	r.Reset(text)
	root := object{}
	table := root
	for r.NextExpression() {
		switch node := r.Expression(); node.Kind {
		case unstable.Table:
			names, line := r.names(node.Key())
			table = root.below(names, line)
		case unstable.ArrayTable:
			names, line := r.names(node.Key())
			last := len(names) - 1
			parent := root.below(names[:last], line)
			table = object{}
			list, _ := parent[names[last]].value.([]any)
			parent[names[last]] = entry{append(list, table), line}
		case unstable.KeyValue:
			r.add(table, node)
		}
	}
	return root, 0, nil
}

// below returns the object at a path of names, in a list the last one. It creates missing objects.
func (o object) below(names []string, line int) object {
	for _, name := range names {
		found := o[name]
		if list, ok := found.value.([]any); ok && len(list) > 0 {
			found.value = list[len(list)-1]
		}
		below, ok := found.value.(object)
		if !ok {
			below = object{}
			o[name] = entry{below, line}
		}
		o = below
	}
	return o
}

// tomlReader converts nodes to values.
type tomlReader struct{ unstable.Parser }

// names returns the names of a dotted key and its line.
func (r *tomlReader) names(key unstable.Iterator) (names []string, line int) {
	for key.Next() {
		if line == 0 {
			line = r.Shape(key.Node().Raw).Start.Line
		}
		names = append(names, string(key.Node().Data))
	}
	return names, line
}

// add adds a key and its value to a table.
func (r *tomlReader) add(table object, node *unstable.Node) {
	names, line := r.names(node.Key())
	last := len(names) - 1
	table.below(names[:last], line)[names[last]] = entry{r.value(node.Value()), line}
}

func (r *tomlReader) value(node *unstable.Node) any {
	switch node.Kind {
	case unstable.Integer, unstable.Float:
		return json.Number(node.Data)
	case unstable.Bool:
		return string(node.Data) == "true"
	case unstable.InlineTable:
		table := object{}
		for pairs := node.Children(); pairs.Next(); {
			r.add(table, pairs.Node())
		}
		return table
	case unstable.Array:
		list := []any{}
		for values := node.Children(); values.Next(); {
			list = append(list, r.value(values.Node()))
		}
		return list
	}
	return string(node.Data) // strings and dates
}
