package seed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/pelletier/go-toml/v2"
)

// maxFrontmatter bounds a page's frontmatter, in bytes: a thousand times what one
// has. What follows it is not read at all.
const maxFrontmatter = 1 << 20

// byteOrderMark is what some editors begin a file with.
const byteOrderMark = "\ufeff"

// fences begin and end a frontmatter.
const (
	yamlFence = "---"
	tomlFence = "+++"
)

// frontmatter adds what a page's frontmatter gives.
func (f *found) frontmatter(r Rules, name string, in io.Reader) error {
	fence, text, err := cutFrontmatter(in)
	if err != nil || fence == "" {
		return err
	}
	read := yamlFields
	if fence == tomlFence {
		read = tomlFields
	}
	field, line, err := read(text)
	if err != nil {
		f.refuse(line+1, "%v", err) // the fence is a line, too
		return nil
	}
	f.take(r, record{file: f.file, path: name, line: 1, field: func(name string) (any, int, bool) {
		value, line, ok := field(name)
		return value, line + 1, ok
	}})
	return nil
}

// cutFrontmatter returns the text between the fences at the beginning of a page,
// and an empty fence where it has none.
func cutFrontmatter(in io.Reader) (fence string, text []byte, err error) {
	lines := bufio.NewReader(io.LimitReader(in, maxFrontmatter))
	first, err := lines.ReadString('\n')
	if fence = strings.TrimRight(strings.TrimPrefix(first, byteOrderMark), " \t\r\n"); fence != yamlFence && fence != tomlFence {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return "", nil, err
	}
	for err == nil {
		var line []byte
		line, err = lines.ReadBytes('\n')
		if string(bytes.TrimRight(line, " \t\r\n")) == fence {
			return fence, text, nil
		}
		text = append(text, line...)
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("its frontmatter does not end: there is no second line %s within %d bytes", fence, maxFrontmatter)
	}
	return "", nil, err
}

// fields looks a field up by its name, where dots lead into tables, and in any
// case of letters, as site generators do.
type fields func(name string) (value any, line int, ok bool)

// yamlFields reads YAML without expanding its aliases, of which a few lines could
// make gigabytes.
func yamlFields(text []byte) (fields, int, error) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil {
			return nil, e.GetToken().Position.Line, fmt.Errorf("is not YAML: %s", e.GetMessage())
		}
		return nil, 0, fmt.Errorf("is not YAML: %w", err)
	}
	if len(tree.Docs) == 0 {
		return func(string) (any, int, bool) { return nil, 0, false }, 0, nil
	}
	body := tree.Docs[0].Body
	switch body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode, *ast.MappingNode, *ast.MappingValueNode:
	default:
		return nil, 1, errors.New("is no frontmatter: it should hold lines such as likes: 12")
	}
	return func(name string) (any, int, bool) {
		node, ok := yamlNode(body, name)
		if !ok {
			return nil, 0, false
		}
		return yamlValue(node), node.GetToken().Position.Line, true
	}, 0, nil
}

// yamlNode finds the value of a name below node.
func yamlNode(node ast.Node, name string) (ast.Node, bool) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	head, rest, dotted := strings.Cut(name, ".")
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		if strings.EqualFold(key, name) {
			return pair.Value, true
		}
		if dotted && strings.EqualFold(key, head) {
			if below, ok := yamlNode(pair.Value, rest); ok {
				return below, true
			}
		}
	}
	return nil, false
}

// yamlValue returns a scalar; what is none is the node itself, which is no number.
func yamlValue(node ast.Node) any {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	case *ast.AnchorNode:
		return yamlValue(n.Value)
	case *ast.TagNode:
		return yamlValue(n.Value)
	}
	return node
}

func tomlFields(text []byte) (fields, int, error) {
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := e.Position()
			return nil, line, fmt.Errorf("is not TOML: %s", strings.TrimPrefix(e.Error(), "toml: "))
		}
		return nil, 0, fmt.Errorf("is not TOML: %w", err)
	}
	return func(name string) (any, int, bool) {
		value, ok := valueOf(values, name)
		return value, tomlLine(text, name), ok
	}, 0, nil
}

// valueOf finds the value of a name in a table.
func valueOf(values map[string]any, name string) (any, bool) {
	if value, ok := values[name]; ok {
		return value, true
	}
	head, rest, dotted := strings.Cut(name, ".")
	for key, value := range values {
		if strings.EqualFold(key, name) {
			return value, true
		}
		if below, ok := value.(map[string]any); ok && dotted && strings.EqualFold(key, head) {
			if value, ok := valueOf(below, rest); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// tomlLine returns the first line that gives a value to the last part of name: the
// decoder keeps no positions of what it could read.
func tomlLine(text []byte, name string) int {
	last := name[strings.LastIndexByte(name, '.')+1:]
	n := 0
	for line := range bytes.Lines(text) {
		n++
		key, _, ok := bytes.Cut(line, []byte("="))
		if ok && strings.EqualFold(strings.Trim(string(key), " \t\"'"), last) {
			return n
		}
	}
	return 0
}
