package seed

import (
	"encoding/json"
	"strconv"
	"strings"
)

// object is a mapping of YAML, a table of TOML or an object of JSON: frontmatter or the
// settings of a site generator.
type object map[string]entry

// entry is a value and its line. The value is a string, [json.Number],
// bool, nil, []any, object or unknownAlias.
type entry struct {
	value any
	line  int
}

// unknownAlias is the value of a YAML alias without an anchor.
type unknownAlias struct{}

// get returns the entry of a name, else that of the name in another case.
func (o object) get(name string) (found entry, ok bool) {
	if found, ok = o[name]; ok {
		return found, true
	}
	first := ""
	for key, each := range o {
		if strings.EqualFold(key, name) && (!ok || key < first) {
			found, first, ok = each, key, true
		}
	}
	return found, ok
}

// find implements [fields].
func (o object) find(name string) (value any, line int, ok bool) {
	if found, ok := o.get(name); ok {
		return found.value, found.line, true
	}
	if head, rest, dotted := strings.Cut(name, "."); dotted {
		found, _ := o.get(head)
		below, _ := found.value.(object)
		return below.find(rest)
	}
	return nil, 0, false
}

// at returns the value at a path of names; nil if there is none.
func (o object) at(names ...string) any {
	var value any = o
	for _, name := range names {
		below, _ := value.(object)
		found, _ := below.get(name)
		value = found.value
	}
	return value
}

func (o object) object(names ...string) object {
	below, _ := o.at(names...).(object)
	return below
}

func (o object) text(names ...string) string { return textOf(o.at(names...)) }

func (o object) isTrue(names ...string) bool { return isTrue(o.at(names...)) }

func (o object) list(names ...string) []string { return listOf(o.at(names...)) }

// merge adds the entries of other, which replace those of o.
func (o object) merge(other object) {
	for name, each := range other {
		below, isObject := each.value.(object)
		if mine, both := o[name].value.(object); both && isObject {
			mine.merge(below)
			continue
		}
		o[name] = each
	}
}

// textOf returns a string, number or boolean as text; empty for other values.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	return ""
}

func isTrue(value any) bool {
	is, _ := strconv.ParseBool(textOf(value))
	return is
}

// listOf returns the texts of a list, or a list of one text.
func listOf(value any) (all []string) {
	if list, ok := value.([]any); ok {
		for _, each := range list {
			all = append(all, textOf(each))
		}
		return all
	}
	if text := textOf(value); text != "" {
		all = append(all, text)
	}
	return all
}
