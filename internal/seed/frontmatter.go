package seed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// maxFrontmatter bounds a page's frontmatter, in bytes: hundreds of times the size of a
// usual one, and what the parsers read in seconds. The reader stops behind it.
const maxFrontmatter = 256 << 10

// language is a notation of frontmatter.
type language string

const (
	noFrontmatter language = ""
	inYAML        language = "yaml"
	inTOML        language = "toml"
	inJSON        language = "json"
	inOrg         language = "org"
)

// languages maps what may follow the first --- in Eleventy and other tools.
var languages = map[string]language{"": inYAML, "yaml": inYAML, "yml": inYAML, "toml": inTOML, "json": inJSON}

// fields looks a field up by its name. A dot leads into tables. Case does not matter, as
// in site generators.
type fields func(name string) (value any, line int, ok bool)

// frontmatter adds what a page's frontmatter gives.
func (f *fileResult) frontmatter(r Rules, name string, in io.Reader) error {
	text, err := plaintext.NewReader(in)
	if err != nil {
		return err
	}
	head := &headReader{Reader: bufio.NewReader(io.LimitReader(text, maxFrontmatter)), line: 1}
	written, body, before, err := head.frontmatter(strings.EqualFold(path.Ext(name), ".org"))
	if err != nil {
		return err
	}
	read := map[language]func([]byte) (fields, int, error){
		inYAML: yamlFields, inTOML: tomlFields, inJSON: jsonFields, inOrg: orgFields,
	}[written]
	if read == nil {
		f.findOverlooked(r, head)
		return nil
	}
	field, line, err := read(body)
	if err != nil {
		f.refuse(line+before, "%v", err)
		return nil
	}
	f.addRecord(r, record{file: f.file, path: name, line: max(1, before), field: func(name string) (any, int, bool) {
		value, line, ok := field(name)
		return value, line + before, ok
	}})
	return nil
}

// headReader reads the beginning of a page.
type headReader struct {
	*bufio.Reader
	line int // of what is read next
}

// frontmatter returns the notation and the text of the frontmatter, and how many lines
// precede the text. Without frontmatter it leaves the first line that is not blank to be
// read. As Hugo does, it skips blank lines first.
func (h *headReader) frontmatter(isOrg bool) (written language, text []byte, before int, err error) {
	if err := h.skipBlank(); err != nil {
		return noFrontmatter, nil, 0, ignoreEnd(err)
	}
	start, _ := h.Peek(256) // an error returns with the next read
	switch first, _, _ := bytes.Cut(start, []byte("\n")); {
	case bytes.HasPrefix(first, []byte("+++")) && len(bytes.TrimSpace(first)) == 3:
		text, before, err = h.fenced("+++")
		return inTOML, text, before, err
	case bytes.HasPrefix(first, []byte("---")) && !bytes.HasPrefix(first, []byte("----")):
		name := strings.ToLower(strings.TrimSpace(string(first[3:])))
		written, known := languages[name]
		if !known {
			return noFrontmatter, nil, 0, nil
		}
		text, before, err = h.fenced("---")
		return written, text, before, err
	case isJSONObject(start):
		before = h.line - 1
		var object json.RawMessage
		if err := json.NewDecoder(h).Decode(&object); err != nil {
			return noFrontmatter, nil, 0, fmt.Errorf("its frontmatter, from line %d on, is not JSON: %w", before+1, err)
		}
		return inJSON, object, before, nil
	case isOrg && bytes.HasPrefix(first, []byte("#+")):
		before = h.line - 1
		text, err = h.keywords()
		return inOrg, text, before, err
	}
	return noFrontmatter, nil, 0, nil
}

// isJSONObject reports whether text begins with a JSON object. Templates and MDX
// begin with a brace too.
func isJSONObject(text []byte) bool {
	inner, ok := bytes.CutPrefix(text, []byte("{"))
	inner = bytes.TrimLeft(inner, " \t\r\n")
	return ok && len(inner) > 0 && (inner[0] == '"' || inner[0] == '}')
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// skipBlank skips blank lines.
func (h *headReader) skipBlank() error {
	for {
		c, err := h.ReadByte()
		if err != nil {
			return err
		}
		switch c {
		case '\n':
			h.line++
		case ' ', '\t', '\r':
		default:
			return h.UnreadByte()
		}
	}
}

// fenced returns the text between two lines of a fence, of which the first is read
// next, and how many lines precede it. YAML may also end with three points.
func (h *headReader) fenced(fence string) (text []byte, before int, err error) {
	_, err = h.ReadBytes('\n')
	before = h.line
	for err == nil {
		var line []byte
		line, err = h.ReadBytes('\n')
		if end := string(bytes.TrimRight(line, " \t\r\n")); end == fence || end == "..." && fence == "---" {
			return text, before, nil
		}
		text = append(text, line...)
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("its frontmatter does not end: there is no second line %s within %d bytes", fence, maxFrontmatter)
	}
	return nil, 0, err
}

// keywords returns the lines of an Org file up to the first that is neither a keyword,
// #+title: Hello, nor a comment nor blank.
func (h *headReader) keywords() (text []byte, err error) {
	for err == nil {
		var line []byte
		line, err = h.ReadBytes('\n')
		if start := bytes.TrimSpace(line); len(start) > 0 && start[0] != '#' {
			return text, nil
		}
		text = append(text, line...)
	}
	return text, ignoreEnd(err)
}

// orgKeyword matches a line such as #+likes: 12.
var orgKeyword = regexp.MustCompile(`^\s*#\+([^\s:]+):[ \t]*(.*?)\s*$`)

// orgFields reads keywords of Org, as Hugo does.
func orgFields(text []byte) (fields, int, error) {
	var all entries
	line := 0
	for each := range bytes.Lines(text) {
		line++
		if found := orgKeyword.FindSubmatch(each); found != nil {
			all.add(string(found[1]), string(found[2]), line)
		}
	}
	return all.find, 0, nil
}

// entry is a field with the names of the tables around it, joined by dots.
type entry struct {
	name  string
	value any
	line  int
}

// entries are all fields of a frontmatter.
type entries []entry

func (e *entries) add(name string, value any, line int) {
	*e = append(*e, entry{name, value, line})
}

// find implements [fields]. The name as it is written precedes names in other case.
func (e entries) find(name string) (any, int, bool) {
	for _, each := range e {
		if each.name == name {
			return each.value, each.line, true
		}
	}
	for _, each := range e {
		if strings.EqualFold(each.name, name) {
			return each.value, each.line, true
		}
	}
	return nil, 0, false
}

const (
	// Fields that a page without frontmatter seems to have are looked for in its first
	// block of lines, of which an attribute of AsciiDoc or a header of Pelican has fewer.
	maxBlockLines = 60
	maxBlockBytes = 8 << 10
)

// findOverlooked names a field at the beginning of a page that has no frontmatter known
// here, so that it is not left out silently.
func (f *fileResult) findOverlooked(r Rules, head *headReader) {
	text := bufio.NewReader(io.LimitReader(head, maxBlockBytes))
	for n := range maxBlockLines {
		line, err := text.ReadString('\n')
		if strings.TrimSpace(line) == "" {
			return
		}
		for _, field := range r.Fields {
			if seemsToGive(line, field.Name) {
				f.refuse(head.line+n, "%s stands in no frontmatter that is read: YAML between lines ---, TOML between lines +++, a JSON object, or keywords of Org", field.Name)
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// seemsToGive reports whether a line gives a field a value, such as :likes: 12.
func seemsToGive(line, name string) bool {
	name = name[strings.LastIndexByte(name, '.')+1:]
	line = strings.TrimLeft(line, " \t:;#+.\"'<!/*-{")
	line = strings.TrimPrefix(line, "page-")
	if len(line) <= len(name) || !strings.EqualFold(line[:len(name)], name) {
		return false
	}
	rest := strings.TrimLeft(line[len(name):], " \t\"'")
	return rest != "" && (rest[0] == ':' || rest[0] == '=') && strings.ContainsAny(rest, "0123456789")
}
