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

// maxFrontmatter bounds frontmatter, in bytes: hundreds of times a usual one, and few enough
// for parsers to read in seconds.
const maxFrontmatter = 256 << 10

// matterParser parses frontmatter. It returns the line of an error; 0 if that is unknown.
type matterParser func(text []byte) (matter object, line int, err error)

// matterParsers are the parsers by the words that may follow the first --- in Eleventy and other
// tools.
var matterParsers = map[string]matterParser{"": readYAML, "yaml": readYAML, "yml": readYAML, "toml": readTOML, "json": readJSON}

// fields returns the value of a field and its line. Dots lead into objects. The case of names
// does not matter, as in site generators.
type fields func(name string) (value any, line int, ok bool)

// frontmatter adds the seeds of a page's frontmatter.
func (f *fileResult) frontmatter(r Rules, name string, in io.Reader) error {
	text, err := plaintext.NewReader(in)
	if err != nil {
		return err
	}
	head := &headReader{Reader: bufio.NewReader(io.LimitReader(text, maxFrontmatter)), line: 1}
	parse, body, before, err := head.frontmatter(strings.EqualFold(path.Ext(name), ".org"))
	if err != nil {
		return err
	}
	if parse == nil {
		f.reportUnreadFields(r, head)
		return nil
	}
	matter, line, err := parse(body)
	if err != nil {
		f.refuse(line+before, "%v", err)
		return nil
	}
	f.addRecord(r, record{file: f.file, path: name, line: max(1, before), field: func(name string) (any, int, bool) {
		value, line, ok := matter.find(name)
		return value, line + before, ok
	}})
	return nil
}

// headReader reads the beginning of a page.
type headReader struct {
	*bufio.Reader
	line int // that is read next
}

// frontmatter returns the text of the frontmatter, its parser, and the number of lines before
// the text. It skips blank lines first, as Hugo does. Without frontmatter the parser is nil,
// and the next read begins at the first line that is not blank.
func (h *headReader) frontmatter(isOrg bool) (parse matterParser, text []byte, before int, err error) {
	if err := h.skipBlank(); err != nil {
		return nil, nil, 0, ignoreEnd(err)
	}
	start, _ := h.Peek(256) // an error occurs again at the next read
	switch first, _, _ := bytes.Cut(start, []byte("\n")); {
	case bytes.HasPrefix(first, []byte("+++")) && len(bytes.TrimSpace(first)) == 3:
		text, before, err = h.fenced("+++")
		return readTOML, text, before, err
	case bytes.HasPrefix(first, []byte("---")) && !bytes.HasPrefix(first, []byte("----")):
		parse = matterParsers[strings.ToLower(strings.TrimSpace(string(first[3:])))]
		if parse != nil {
			text, before, err = h.fenced("---")
		}
		return parse, text, before, err
	case isJSONObject(start):
		before = h.line - 1
		var object json.RawMessage
		if err := json.NewDecoder(h).Decode(&object); err != nil {
			return nil, nil, 0, fmt.Errorf("its frontmatter, from line %d on, is not JSON: %w", before+1, err)
		}
		return readJSON, object, before, nil
	case isOrg && bytes.HasPrefix(first, []byte("#+")):
		before = h.line - 1
		text, err = h.keywords()
		return readOrg, text, before, err
	}
	return nil, nil, 0, nil
}

// isJSONObject reports whether text begins with a JSON object, unlike templates and MDX,
// which also begin with a brace.
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

// fenced returns the text up to the second fence, and the number of lines before it. The
// reader is at the first fence. YAML may also end with three dots.
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
		err = fmt.Errorf("its frontmatter does not end: it has no second line %s within %d bytes", fence, maxFrontmatter)
	}
	return nil, 0, err
}

// keywords returns the lines of an Org file before the first one that is neither blank, a
// comment, nor a keyword such as #+title: Hello.
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

// readOrg reads keywords of Org, as Hugo does.
func readOrg(text []byte) (object, int, error) {
	o := object{}
	line := 0
	for each := range bytes.Lines(text) {
		line++
		found := orgKeyword.FindSubmatch(each)
		if found == nil {
			continue
		}
		if name := string(found[1]); o[name] == (entry{}) { // the first one applies
			o[name] = entry{string(found[2]), line}
		}
	}
	return o, 0, nil
}

const (
	// maxBlockLines and maxBlockBytes bound the first lines in which a page without
	// frontmatter may have fields. Attributes of AsciiDoc and headers of Pelican are shorter.
	maxBlockLines = 60
	maxBlockBytes = 8 << 10
)

// reportUnreadFields reports a field at the beginning of a page whose frontmatter is in no
// supported notation.
func (f *fileResult) reportUnreadFields(r Rules, head *headReader) {
	text := bufio.NewReader(io.LimitReader(head, maxBlockBytes))
	for n := range maxBlockLines {
		line, err := text.ReadString('\n')
		if strings.TrimSpace(line) == "" {
			return
		}
		for _, field := range r.Fields {
			if looksLikeField(line, field.Name) {
				f.refuse(head.line+n, "%s is not in frontmatter that can be read: YAML between lines ---, TOML between lines +++, a JSON object, or keywords of Org", field.Name)
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// looksLikeField reports whether a line looks like a value of a field, such as :likes: 12.
func looksLikeField(line, name string) bool {
	name = name[strings.LastIndexByte(name, '.')+1:]
	line = strings.TrimLeft(line, " \t:;#+.\"'<!/*-{")
	line = strings.TrimPrefix(line, "page-")
	if len(line) <= len(name) || !strings.EqualFold(line[:len(name)], name) {
		return false
	}
	rest := strings.TrimLeft(line[len(name):], " \t\"'")
	return rest != "" && (rest[0] == ':' || rest[0] == '=') && strings.ContainsAny(rest, "0123456789")
}
