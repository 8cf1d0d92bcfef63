package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// maxFileBytes bounds the configuration file: a thousand times the size of a usual one, and small
// enough to read another file that was named by mistake.
const maxFileBytes = 1 << 20

// File is a configuration file: YAML with the names of the settings. Values stay as they are written,
// so that a secret of digits is not converted to a number.
type File struct {
	path    string // empty: there is no file
	entries map[string]fileEntry
}

type fileEntry struct {
	texts []string
	line  int
}

// LoadFile reads the file at path and returns all its problems.
func LoadFile(path string, settings []Setting) (File, Problems) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxFileBytes {
		return File{}, fileProblem("%s cannot be read: it has %d bytes, and a configuration has at most %d", path, info.Size(), maxFileBytes)
	}
	text, err := readFile(path)
	if err != nil {
		return File{}, fileProblem("%v", err)
	}
	return parseFile(path, text, settings)
}

// fileProblem returns a problem of the whole file.
func fileProblem(format string, args ...any) Problems {
	return Problems{{Setting: "config", Message: fmt.Sprintf(format, args...)}}
}

// readFile returns the content of a file. Its error names the file.
func readFile(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, plaintext.FileError(err))
	}
	return content, nil
}

// parseFile parses text, the content of the file at path.
func parseFile(path string, text []byte, settings []Setting) (File, Problems) {
	file := File{path: path, entries: map[string]fileEntry{}}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return file, fileProblem("%s is not text in UTF-8", path)
	}
	tree, err := parser.ParseBytes(text, 0)
	if invalid, ok := errors.AsType[yaml.Error](err); ok && invalid.GetToken() != nil {
		// Some messages quote the file after a colon. The quotation, which may be a secret, is cut off.
		message, _, _ := strings.Cut(invalid.GetMessage(), `: "`)
		return file, fileProblem("%s line %d is not YAML: %s", path, invalid.GetToken().Position.Line, message)
	}
	if err != nil {
		return file, fileProblem("%s is not YAML", path)
	}
	if len(tree.Docs) > 1 {
		return file, fileProblem("%s has several documents; it should have one", path)
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
		return file, fileProblem(`%s should have lines such as "listen: :8080"`, path)
	}
	return file, file.addPairs(pairs, settings)
}

// addPairs adds the entries of pairs and returns their problems.
func (f *File) addPairs(pairs []*ast.MappingValueNode, settings []Setting) (problems Problems) {
	// A configuration file cannot name another one.
	known := slices.DeleteFunc(slices.Clone(settings), func(s Setting) bool { return s.Name == FileSetting.Name })
	for _, pair := range pairs {
		name, line := pair.Key.GetToken().Value, pair.Key.GetToken().Position.Line
		reject := func(message string) {
			problems = append(problems, Problem{name, Source(fmt.Sprintf("%s line %d", f.path, line)), message})
		}
		i := slices.IndexFunc(known, func(s Setting) bool { return s.Name == name })
		if i < 0 {
			reject(noSuchSetting(name, known, func(similar string) string { return similar }))
			continue
		}
		if _, twice := f.entries[name]; twice {
			reject("is given twice")
			continue
		}
		texts, err := scalars(pair.Value, known[i].Repeatable)
		if err != nil {
			reject(err.Error())
			continue
		}
		f.entries[name] = fileEntry{texts, line}
	}
	return problems
}

// scalars returns the text of a value, or of each item of a list.
func scalars(node ast.Node, repeatable bool) ([]string, error) {
	items := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		if !repeatable {
			return nil, errors.New("should be one value, not a list")
		}
		items = list.Values
	}
	texts := make([]string, len(items))
	for i, item := range items {
		var err error
		if texts[i], err = scalar(item); err != nil {
			return nil, err
		}
	}
	return texts, nil
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
