package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileBytes bounds the configuration file: a thousand times what one needs,
// and little enough to be read before it is known to be a configuration.
const maxFileBytes = 1 << 20

// configFile is a YAML file with the names of the settings. Values are kept as
// they are written, so that a secret of digits stays what it is.
type configFile struct {
	path    string // empty where there is no file
	entries map[string]fileEntry
}

type fileEntry struct {
	texts []string
	line  int
}

// loadFile reads the file at path. It returns all that is wrong with it.
func loadFile(path string, definitions []definition) (configFile, []problem) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFileBytes {
		err = fmt.Errorf("it has %d bytes, and a configuration has at most %d", info.Size(), maxFileBytes)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return configFile{}, []problem{{"config", "", fmt.Sprintf("%s cannot be read: %v", path, plainPathError(err))}}
	}
	return parseFile(path, text, definitions)
}

// plainPathError returns the reason of a file error without the path that the
// message names already.
func plainPathError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// parseFile reads text, the content of the file at path.
func parseFile(path string, text []byte, definitions []definition) (configFile, []problem) {
	file := configFile{path: path, entries: map[string]fileEntry{}}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return file, []problem{{"config", "", fmt.Sprintf("%s is not YAML: %v", path, err)}}
	}
	if len(tree.Docs) > 1 {
		return file, []problem{{"config", "", path + " holds several documents; it should hold one"}}
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return file, nil
	}
	var pairs []*ast.MappingValueNode
	switch body := tree.Docs[0].Body.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	case *ast.NullNode, *ast.CommentGroupNode:
	default:
		return file, []problem{{"config", "", path + ` should hold lines such as "listen: :8080"`}}
	}
	return file, file.read(pairs, definitions)
}

// read fills in the entries and returns what is wrong with them.
func (f *configFile) read(pairs []*ast.MappingValueNode, definitions []definition) (problems []problem) {
	known := map[string]definition{}
	var names []string
	for _, d := range definitions {
		if d.name != "config" { // a file that names a file would be two truths
			known[d.name] = d
			names = append(names, d.name)
		}
	}
	for _, pair := range pairs {
		name, line := pair.Key.GetToken().Value, pair.Key.GetToken().Position.Line
		at := source(fmt.Sprintf("%s line %d", f.path, line))
		refuse := func(format string, args ...any) {
			problems = append(problems, problem{name, at, fmt.Sprintf(format, args...)})
		}
		d, ok := known[name]
		if !ok {
			if near, ok := nearest(name, names); ok {
				refuse("there is no such setting; did you mean %s?", near)
			} else {
				refuse("there is no such setting; tallycast serve --help lists them")
			}
			continue
		}
		if _, twice := f.entries[name]; twice {
			refuse("is given twice")
			continue
		}
		texts, err := scalars(pair.Value, d.repeatable)
		if err != nil {
			refuse("%v", err)
			continue
		}
		f.entries[name] = fileEntry{texts, line}
	}
	return problems
}

// scalars returns the text of a value, or of each item of a list.
func scalars(node ast.Node, repeatable bool) ([]string, error) {
	list, ok := node.(*ast.SequenceNode)
	switch {
	case ok && !repeatable:
		return nil, errors.New("should be one value, not a list")
	case ok:
		texts := []string{}
		for _, item := range list.Values {
			text, err := scalar(item)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
		return texts, nil
	}
	text, err := scalar(node)
	if err != nil {
		return nil, err
	}
	return []string{text}, nil
}

func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New(`has no value; an empty one is written ""`)
	}
	return "", errors.New("should be plain text, a number, true or false, or a list of these")
}
