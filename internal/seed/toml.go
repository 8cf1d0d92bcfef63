package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFields reads TOML. Numbers are kept as they are written.
func tomlFields(text []byte) (fields, int, error) {
	var checked map[string]any
	if err := toml.Unmarshal(text, &checked); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := e.Position()
			return nil, line, fmt.Errorf("is not TOML: %s", strings.TrimPrefix(e.Error(), "toml: "))
		}
		return nil, 0, fmt.Errorf("is not TOML: %w", err)
	}
	d := tomlDocument{}
	d.parser.Reset(text)
	table, arrays := "", map[string]bool{}
	for d.parser.NextExpression() {
		switch node := d.parser.Expression(); node.Kind {
		case unstable.Table:
			table, _ = d.name("", node.Key())
		case unstable.ArrayTable:
			table, _ = d.name("", node.Key())
			arrays[table+"."] = true
		case unstable.KeyValue:
			d.pair(table, node, arrays)
		}
	}
	return d.all.find, 0, nil
}

// tomlDocument is a TOML text that is being read.
type tomlDocument struct {
	parser unstable.Parser
	all    entries
}

// name returns the names of a key joined by dots, behind those of its table, and the
// line of the key.
func (d *tomlDocument) name(table string, key unstable.Iterator) (name string, line int) {
	name = table
	for key.Next() {
		if node := key.Node(); line == 0 {
			line = d.parser.Shape(node.Raw).Start.Line
		}
		if name != "" {
			name += "."
		}
		name += string(key.Node().Data)
	}
	return name, line
}

// pair adds the value of a key. What is below an array of tables has no name.
func (d *tomlDocument) pair(table string, node *unstable.Node, arrays map[string]bool) {
	for array := range arrays {
		if strings.HasPrefix(table+".", array) {
			return
		}
	}
	name, line := d.name(table, node.Key())
	value := node.Value()
	switch value.Kind {
	case unstable.Integer, unstable.Float:
		d.all.add(name, json.Number(value.Data), line)
	case unstable.Bool:
		d.all.add(name, string(value.Data) == "true", line)
	case unstable.InlineTable:
		d.all.add(name, value.Kind, line)
		for pairs := value.Children(); pairs.Next(); {
			d.pair(name, pairs.Node(), nil)
		}
	case unstable.Array:
		d.all.add(name, value.Kind, line)
	default: // strings and dates
		d.all.add(name, string(value.Data), line)
	}
}
