package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/pelletier/go-toml/v2"
)

// maxSettings bounds a file of settings, in bytes: a hundred times a usual one.
const maxSettings = 1 << 20

// settings are those of a site generator, as its file has them.
type settings map[string]any

// readSettings reads a file in the notation that its extension names.
func readSettings(path string) (settings, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSettings {
		return nil, fmt.Errorf("is no file of at most %d bytes", maxSettings)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		err = toml.Unmarshal(text, &tree)
	case ".json":
		err = json.Unmarshal(text, &tree)
	default:
		tree, err = yamlTree(text)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return tree, nil
}

// at returns the setting that names lead to, in any case of letters; nil if there is none.
func (s settings) at(names ...string) any {
	var value any = map[string]any(s)
	for _, name := range names {
		table, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		if value, ok = table[name]; ok {
			continue
		}
		for key, each := range table {
			if strings.EqualFold(key, name) {
				value = each
				break
			}
		}
	}
	return value
}

func (s settings) table(names ...string) settings {
	table, _ := s.at(names...).(map[string]any)
	return table
}

func (s settings) text(names ...string) string { return plainText(s.at(names...)) }

func (s settings) isTrue(names ...string) bool { return isTrue(s.at(names...)) }

func (s settings) list(names ...string) []string { return listOf(s.at(names...)) }

// merge adds the settings of other, which win.
func (s settings) merge(other map[string]any) {
	for name, value := range other {
		below, isTable := value.(map[string]any)
		if mine, both := s[name].(map[string]any); both && isTable {
			settings(mine).merge(below)
			continue
		}
		s[name] = value
	}
}

// plainText returns a scalar of settings or frontmatter as text; empty for all else.
func plainText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int, int64, uint64, float64, json.Number:
		return fmt.Sprint(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case toml.LocalDate:
		return v.String()
	case toml.LocalDateTime:
		return v.String()
	case ast.Node:
		return yamlText(v)
	}
	return ""
}

func isTrue(value any) bool {
	is, _ := strconv.ParseBool(plainText(value))
	return is
}

// listOf returns the texts of a list, or one text as a list of it.
func listOf(value any) (all []string) {
	switch v := value.(type) {
	case []any:
		for _, each := range v {
			all = append(all, plainText(each))
		}
		return all
	case *ast.SequenceNode:
		for _, each := range v.Values {
			all = append(all, yamlText(each))
		}
		return all
	}
	if text := plainText(value); text != "" {
		all = append(all, text)
	}
	return all
}

// yamlText returns a scalar of YAML as it is written.
func yamlText(node ast.Node) string {
	switch n := node.(type) {
	case *ast.AnchorNode:
		return yamlText(n.Value)
	case *ast.TagNode:
		return yamlText(n.Value)
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.StringNode:
		return n.Value
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value
	}
	return ""
}

// maxMerged bounds how many values all << of a file add: each may add those of another
// table, so that a few lines could make gigabytes.
const maxMerged = 100_000

var errTooMuchMerged = fmt.Errorf("merges more than %d values", maxMerged)

// yamlTree reads YAML. An alias is the value of its anchor, not a copy, so that a few
// lines cannot make gigabytes.
func yamlTree(text []byte) (map[string]any, error) {
	if err := checkNesting(text); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	anchors := map[string]any{}
	added := 0
	var read func(ast.Node) any
	pairs := func(all []*ast.MappingValueNode) any {
		table := map[string]any{}
		merged := map[string]any{}
		for _, pair := range all {
			value := read(pair.Value)
			if _, isMerge := pair.Key.(*ast.MergeKeyNode); !isMerge {
				table[pair.Key.GetToken().Value] = value
				continue
			}
			list, ok := value.([]any)
			if !ok {
				list = []any{value}
			}
			for _, each := range list {
				if below, ok := each.(map[string]any); ok && added <= maxMerged {
					added += len(below)
					for name, value := range below {
						if _, set := merged[name]; !set {
							merged[name] = value
						}
					}
				}
			}
		}
		for name, value := range merged {
			if _, set := table[name]; !set {
				table[name] = value
			}
		}
		return table
	}
	read = func(node ast.Node) any {
		switch n := node.(type) {
		case *ast.MappingNode:
			return pairs(n.Values)
		case *ast.MappingValueNode:
			return pairs([]*ast.MappingValueNode{n})
		case *ast.SequenceNode:
			list := make([]any, len(n.Values))
			for i, each := range n.Values {
				list[i] = read(each)
			}
			return list
		case *ast.AnchorNode:
			value := read(n.Value)
			anchors[n.Name.GetToken().Value] = value
			return value
		case *ast.AliasNode:
			return anchors[n.Value.GetToken().Value]
		case *ast.TagNode:
			return read(n.Value)
		case *ast.NullNode, *ast.CommentGroupNode, nil:
			return nil
		}
		return yamlText(node)
	}
	value := read(file.Docs[0].Body)
	if added > maxMerged {
		return nil, errTooMuchMerged
	}
	switch value := value.(type) {
	case map[string]any:
		return value, nil
	case nil:
		return nil, nil
	}
	return nil, errors.New("is no table of settings")
}

// dateLayouts are the forms of dates that Hugo and Jekyll read, the usual ones first.
var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04",
	"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05-0700",
	"2006-01-02 15:04 -0700", "2006-01-02 15:04:05 -0700 MST", "2006-01-02 15:04:05 MST", "2006-01-02T15:04Z07:00", "2006-1-2", "2006-1-2 15:04:05", "2006-1-2 15:04",
	"2006/01/02", "2006/01/02 15:04:05", time.RFC1123Z, time.RFC1123, time.RFC822Z, time.RFC822, time.RFC850, time.ANSIC, time.UnixDate,
	"02 Jan 2006", "2 Jan 2006", "Jan 2, 2006", "2 January 2006", "January 2, 2006",
}

// dateOf reads a date. One without a zone is in location.
func dateOf(value any, location *time.Location) (time.Time, bool) {
	text := strings.TrimSpace(plainText(value))
	for _, layout := range dateLayouts {
		if at, err := time.ParseInLocation(layout, text, location); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// location returns the time zone of a name; other if there is none.
func location(name string, other *time.Location) *time.Location {
	if name == "" {
		return other
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return other
}
