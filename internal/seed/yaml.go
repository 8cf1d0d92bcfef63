package seed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	// maxNesting bounds the depth of lists and mappings. The parser keeps the path of each
	// value: 80,000 brackets took minutes and more than 4 GB.
	maxNesting = 500
	// maxMerged bounds the values that all << of a text add. Each may add the values of
	// another mapping, so a few lines could add gigabytes.
	maxMerged = 100_000
)

var (
	errTooDeep       = errors.New("its lists and mappings are nested too deep")
	errTooMuchMerged = fmt.Errorf("it merges more than %d values", maxMerged)
)

// readYAML reads the first document of a text.
func readYAML(text []byte) (object, int, error) {
	if err := checkNesting(text); err != nil {
		return nil, 0, err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil {
			return nil, e.GetToken().Position.Line, fmt.Errorf("is not YAML: %s", e.GetMessage())
		}
		return nil, 0, fmt.Errorf("is not YAML: %w", err)
	}
	if len(file.Docs) == 0 {
		return nil, 0, nil
	}
	r := yamlReader{anchors: map[string]any{}}
	value := r.value(file.Docs[0].Body)
	if r.merged > maxMerged {
		return nil, 0, errTooMuchMerged
	}
	o, ok := value.(object)
	if value != nil && !ok {
		return nil, 1, errors.New("has no names with values, such as likes: 12")
	}
	return o, 0, nil
}

// checkNesting returns an error for too many nested brackets, or too many dashes in a line. The size of
// the text bounds the depth of indentation. It ignores a closing bracket without an opening one, which
// may be in a comment.
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

// yamlReader converts nodes to values.
type yamlReader struct {
	anchors map[string]any // the values read so far
	merged  int            // number of values that << added
}

// value returns the value of a node. A scalar stays as it is written, since YAML 1.1 and 1.2
// read 0042 and 1:30 differently. An alias shares the value of its anchor, since copies could
// take gigabytes.
func (r *yamlReader) value(node ast.Node) any {
	switch n := node.(type) {
	case *ast.MappingNode:
		return r.object(n.Values)
	case *ast.MappingValueNode:
		return r.object([]*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, each := range n.Values {
			list[i] = r.value(each)
		}
		return list
	case *ast.AnchorNode:
		value := r.value(n.Value)
		r.anchors[n.Name.GetToken().Value] = value
		return value
	case *ast.AliasNode:
		if value, ok := r.anchors[n.Value.GetToken().Value]; ok {
			return value
		}
		return unknownAlias{}
	case *ast.TagNode:
		return r.value(n.Value)
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value
	}
	return nil
}

// object returns the pairs of a mapping. Names in the mapping itself have precedence over those that <<
// adds. Of the latter the first one is used.
func (r *yamlReader) object(pairs []*ast.MappingValueNode) object {
	own := object{}
	var merged []object
	for _, pair := range pairs {
		value := r.value(pair.Value)
		if _, isMerge := pair.Key.(*ast.MergeKeyNode); !isMerge {
			line := 0
			if token := pair.Value.GetToken(); token != nil {
				line = token.Position.Line
			}
			own[pair.Key.GetToken().Value] = entry{value, line}
			continue
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, each := range list {
			if below, ok := each.(object); ok && r.merged <= maxMerged {
				r.merged += len(below)
				merged = append(merged, below)
			}
		}
	}
	own.addMissing(merged)
	return own
}

// addMissing adds the entries of others, in their order, whose names o does not have in upper or lower
// case.
func (o object) addMissing(others []object) {
	has := map[string]bool{}
	for name := range o {
		has[strings.ToLower(name)] = true
	}
	for _, other := range others {
		var added []string
		for name, each := range other {
			if folded := strings.ToLower(name); !has[folded] {
				o[name] = each
				added = append(added, folded)
			}
		}
		for _, folded := range added {
			has[folded] = true
		}
	}
}
