package seed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxAliases bounds how many aliases lead to a value, since they may form a circle.
const maxAliases = 100

// maxNesting bounds how deep lists and mappings stand within each other. The parser keeps
// the path of each value: 80,000 brackets took it minutes and more than 4 GB.
const maxNesting = 500

var errTooDeep = errors.New("its lists and mappings are nested too deep")

// checkNesting refuses YAML with too many brackets within each other, or dashes in a line.
// Depth by indentation is bounded by the size of the text. A bracket that only closes, as in
// a comment, does not count against later ones.
func checkNesting(text []byte) error {
	brackets, dashes := 0, 0
	for i, c := range text {
		switch c {
		case '[', '{':
			brackets++
		case ']', '}':
			brackets = max(0, brackets-1)
		case '\n':
			dashes = 0
		case '-', '?':
			if i+1 < len(text) && strings.IndexByte(" \t\r\n", text[i+1]) >= 0 {
				dashes++
			}
		}
		if brackets > maxNesting || dashes > maxNesting {
			return errTooDeep
		}
	}
	return nil
}

// yamlFields reads YAML. It looks values up without expanding aliases, of which a few
// lines could make gigabytes.
func yamlFields(text []byte) (fields, int, error) {
	if err := checkNesting(text); err != nil {
		return nil, 0, err
	}
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
	d := yamlDocument{body: tree.Docs[0].Body}
	switch d.body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return func(string) (any, int, bool) { return nil, 0, false }, 0, nil
	}
	ast.Walk(&d, d.body)
	if pairs, _ := d.pairs(d.body); pairs == nil {
		return nil, 1, errors.New("is no frontmatter: it should hold lines such as likes: 12")
	}
	return d.find, 0, nil
}

// yamlDocument is the first document of a YAML text.
type yamlDocument struct {
	body    ast.Node
	anchors []*ast.AnchorNode // in their order
}

// Visit implements [ast.Visitor].
func (d *yamlDocument) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok {
		d.anchors = append(d.anchors, anchor)
	}
	return d
}

// find implements [fields].
func (d *yamlDocument) find(name string) (any, int, bool) {
	node, ok := d.lookup(d.body, name, map[ast.Node]bool{})
	if !ok {
		return nil, 0, false
	}
	return d.value(node), node.GetToken().Position.Line, true
}

// resolve returns what a node stands for behind its anchor, alias and tag; nil for an
// alias of no anchor.
func (d *yamlDocument) resolve(node ast.Node) ast.Node {
	for range maxAliases {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode:
			if node = d.anchor(n); node == nil {
				return nil
			}
		default:
			return node
		}
	}
	return nil
}

// anchor returns the last value of that name before the alias.
func (d *yamlDocument) anchor(alias *ast.AliasNode) (value ast.Node) {
	name := alias.Value.GetToken()
	for _, each := range d.anchors {
		token := each.Name.GetToken()
		if token.Value == name.Value && token.Position.Offset < name.Position.Offset {
			value = each.Value
		}
	}
	return value
}

// pairs returns the pairs of a mapping, and the mapping itself.
func (d *yamlDocument) pairs(node ast.Node) ([]*ast.MappingValueNode, ast.Node) {
	switch n := d.resolve(node).(type) {
	case *ast.MappingNode:
		return n.Values, n
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, n
	}
	return nil, nil
}

// lookup returns the value of a name below node: of its own keys first, then of what <<
// merges into it. Each mapping is visited once a name.
func (d *yamlDocument) lookup(node ast.Node, name string, visited map[ast.Node]bool) (ast.Node, bool) {
	pairs, mapping := d.pairs(node)
	if mapping == nil || visited[mapping] {
		return nil, false
	}
	visited[mapping] = true
	for _, pair := range pairs {
		if pair.Key.GetToken().Value == name {
			return pair.Value, true
		}
	}
	head, rest, dotted := strings.Cut(name, ".")
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		if strings.EqualFold(key, name) {
			return pair.Value, true
		}
		if dotted && strings.EqualFold(key, head) {
			if below, ok := d.lookup(pair.Value, rest, map[ast.Node]bool{}); ok {
				return below, true
			}
		}
	}
	for _, pair := range pairs {
		if _, merges := pair.Key.(*ast.MergeKeyNode); !merges {
			continue
		}
		merged := []ast.Node{pair.Value}
		if list, ok := d.resolve(pair.Value).(*ast.SequenceNode); ok {
			merged = list.Values
		}
		for _, each := range merged {
			if value, ok := d.lookup(each, name, visited); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// unknownAlias is the value of an alias that leads to none.
type unknownAlias struct{}

// value returns a scalar as it is written, since YAML 1.1 and 1.2 read 0042 and 1:30
// differently. A mapping or list is returned as a node.
func (d *yamlDocument) value(node ast.Node) any {
	switch n := d.resolve(node).(type) {
	case nil:
		return unknownAlias{}
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	}
	return node
}
