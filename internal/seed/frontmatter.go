package seed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// maxFrontmatter bounds frontmatter, in bytes: hundreds of times a usual one, and few enough
// for parsers to read in seconds.
const maxFrontmatter = 256 << 10

// objectParser parses frontmatter or settings. It returns the line of an error; 0 if that is unknown.
type objectParser func(text []byte) (matter object, line int, err error)

// frontmatterParsers are the parsers by the word after the first ---, which Eleventy and other tools
// allow.
var frontmatterParsers = map[string]objectParser{"": readYAML, "yaml": readYAML, "yml": readYAML, "toml": readTOML, "json": readJSON}

// fields returns the value of a field and its line. Dots lead into objects. The case of names
// does not matter, as in site generators.
type fields func(name string) (value any, line int, ok bool)

func (f fields) value(name string) any {
	value, _, _ := f(name)
	return value
}

func (f fields) text(name string) string { return textOf(f.value(name)) }

func (f fields) has(name string) bool {
	_, _, ok := f(name)
	return ok
}

// frontmatter adds the seeds of a page's frontmatter.
func (f *fileResult) frontmatter(r Rules, name string, in io.Reader) error {
	text, err := plaintext.NewReader(in)
	if err != nil {
		return err
	}
	head, err := io.ReadAll(io.LimitReader(text, maxFrontmatter))
	if err != nil {
		return err
	}
	parse, body, before, err := splitFrontmatter(head, strings.EqualFold(path.Ext(name), ".org"))
	if err != nil {
		return err
	}
	if parse == nil {
		f.reportUnreadFields(r, body, before)
		return nil
	}
	matter, line, err := parse(body)
	if err != nil {
		f.refuse(line+before, "%v", err)
		return nil
	}
	f.addRecord(r, record{path: name, line: max(1, before), field: func(name string) (any, int, bool) {
		value, line, ok := matter.find(name)
		return value, line + before, ok
	}})
	return nil
}

// splitFrontmatter returns the text of the frontmatter at the beginning of a page, its parser, and the
// number of lines before the text. It skips blank lines, as Hugo does. Without frontmatter the parser
// is nil, and the text is the page from its first line that is not blank.
func splitFrontmatter(head []byte, isOrg bool) (parse objectParser, text []byte, before int, err error) {
	text = bytes.TrimLeft(head, " \t\r\n")
	before = bytes.Count(head[:len(head)-len(text)], []byte("\n"))
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	language, isYAML := strings.CutPrefix(string(line), "---")
	switch {
	case isYAML:
		parse = frontmatterParsers[strings.ToLower(strings.TrimSpace(language))]
		if parse != nil {
			text, err = untilFence(rest, "---", "...")
			before++
		}
	case strings.TrimSpace(string(line)) == "+++":
		parse = readTOML
		text, err = untilFence(rest, "+++")
		before++
	case isJSONObject(text):
		parse = readJSON
		var object json.RawMessage
		if err = json.NewDecoder(bytes.NewReader(text)).Decode(&object); err != nil {
			err = fmt.Errorf("its frontmatter, from line %d on, is not JSON: %w", before+1, err)
		}
		text = object
	case isOrg && bytes.HasPrefix(text, []byte("#+")):
		parse = readOrg
		text = keywords(text)
	}
	return parse, text, before, err
}

// untilFence returns the text before the first line that is one of the fences.
func untilFence(text []byte, fences ...string) ([]byte, error) {
	size := 0
	for line := range bytes.Lines(text) {
		if slices.Contains(fences, string(bytes.TrimRight(line, " \t\r\n"))) {
			return text[:size], nil
		}
		size += len(line)
	}
	return nil, fmt.Errorf("its frontmatter does not end: it has no second line %s within %d bytes", fences[0], maxFrontmatter)
}

// keywords returns the lines of an Org file before the first one that is neither blank, a
// comment, nor a keyword such as #+title: Hello.
func keywords(text []byte) []byte {
	size := 0
	for line := range bytes.Lines(text) {
		if start := bytes.TrimSpace(line); len(start) > 0 && start[0] != '#' {
			break
		}
		size += len(line)
	}
	return text[:size]
}

// isJSONObject reports whether text begins with a JSON object, unlike templates and MDX,
// which also begin with a brace.
func isJSONObject(text []byte) bool {
	inner, ok := bytes.CutPrefix(text, []byte("{"))
	inner = bytes.TrimLeft(inner, " \t\r\n")
	return ok && len(inner) > 0 && (inner[0] == '"' || inner[0] == '}')
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

// reportUnreadFields reports a field at the beginning of a page whose frontmatter has an unsupported
// notation. before is the number of lines before the text.
func (f *fileResult) reportUnreadFields(r Rules, text []byte, before int) {
	number := 0
	for line := range bytes.Lines(text[:min(len(text), maxBlockBytes)]) {
		if number++; number > maxBlockLines || len(bytes.TrimSpace(line)) == 0 {
			return
		}
		for _, field := range r.Fields {
			if looksLikeField(string(line), field.Name) {
				f.refuse(before+number, "%s is not in frontmatter that can be read: YAML between lines ---, TOML between lines +++, a JSON object, or keywords of Org", field.Name)
				return
			}
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
