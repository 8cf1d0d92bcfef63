package seed

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// basePath returns the path of the site's base URL.
func (p hugoPage) basePath() string {
	base, err := url.Parse(textOf(p.setting("baseURL")))
	if err != nil {
		return ""
	}
	return base.EscapedPath()
}

// prefix returns the language in the page's path; empty if the path has none.
func (p hugoPage) prefix() string {
	enabled := 0
	for _, disabled := range p.languages {
		if !disabled {
			enabled++
		}
	}
	inSubdir := p.settings.isTrue("defaultContentLanguageInSubdir")
	if p.multihost || p.language == p.defaultLanguage && !inSubdir || enabled < 2 && p.minor < newPaths {
		return ""
	}
	return p.language
}

// address returns the escaped path of the page.
func (p hugoPage) address() (string, error) {
	kind := p.kind()
	isBranch := kind != "page"
	if given := p.text("url"); given != "" && !(isBranch && p.dir == "") {
		return p.urlField(given)
	}
	expanded := ""
	if pattern := p.permalink(kind); pattern != "" {
		var err error
		if expanded, err = p.expand(pattern); err != nil {
			return "", err
		}
	}
	var name string
	switch {
	case expanded != "":
		name = expanded
	case isBranch:
		name = p.dir
	case p.base == "index":
		name = joinPath(parent(p.dir), cmp.Or(p.slug(), path.Base("/"+p.dir)))
	default:
		name = joinPath(p.dir, cmp.Or(p.slug(), p.normalized(p.base)))
	}
	name = joinPath(p.prefix(), path.Join("/", name))
	if p.isUgly() && name != "" && !(isBranch && kind != "term" && (p.dir == "" || p.minor >= indexLists)) {
		name += ".html"
	}
	name = p.sanitize(name)
	if p.minor >= newPaths { // older versions do not escape #, which ends the path
		name = strings.ReplaceAll(name, "#", "%23")
	}
	return name, nil
}

// urlField returns the path in the field url. Without a leading slash it is below the
// language's path.
func (p hugoPage) urlField(address string) (string, error) {
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		return "", fmt.Errorf("url is %q; Hugo accepts only a path", address)
	}
	if strings.Contains(address, ":") && p.minor >= newURLs {
		expanded, err := p.expand(address)
		if err != nil {
			return "", err
		}
		address = expanded
	}
	if p.minor < newPaths && strings.HasSuffix(address, "/index.html") {
		address += "/" // as these versions do
	}
	if p.minor < exactListURLs && p.base == "_index" {
		address = p.sanitize(address)
	}
	if prefix := p.prefix(); !strings.HasPrefix(address, "/") && prefix != "" {
		address = prefix + "/" + address
	}
	return address, nil
}

// isUgly reports whether the settings ask for an address that ends in .html (uglyURLs).
func (p hugoPage) isUgly() bool {
	ugly := p.setting("uglyURLs")
	if bySection, ok := ugly.(object); ok {
		return (p.minor < noUglySections || p.minor >= uglySections) && bySection.isTrue(p.section())
	}
	return isTrue(ugly)
}

// sanitize removes punctuation from text, replaces spaces by hyphens, and converts it to lower case
// unless the settings disable that, as Hugo does for paths.
func (p hugoPage) sanitize(text string) string {
	if isTrue(p.setting("removePathAccents")) {
		plain := []rune(norm.NFD.String(text))
		text = norm.NFC.String(string(slices.DeleteFunc(plain, func(r rune) bool { return unicode.Is(unicode.Mn, r) })))
	}
	source := []rune(text)
	isHex := func(i int) bool { return i < len(source) && strings.ContainsRune("0123456789abcdefABCDEF", source[i]) }
	var target []rune
	gap, hyphen := false, false
	for i, r := range source {
		switch {
		case strings.ContainsRune(`./\_#+~-@`, r), unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), r == '%' && isHex(i+1) && isHex(i+2):
			hyphen = r == '-'
			if gap && !hyphen {
				target = append(target, '-')
			}
			gap = false
			target = append(target, r)
		case len(target) > 0 && !hyphen && unicode.IsSpace(r):
			gap = true
		}
	}
	if isTrue(p.setting("disablePathToLower")) {
		return string(target)
	}
	return strings.ToLower(string(target))
}

// hugoToken matches a token of a pattern.
var hugoToken = regexp.MustCompile(`:\w+(\[.+?\])?`)

// permalink returns the pattern for pages of the kind in the page's section; empty if the
// settings have none.
func (p hugoPage) permalink(kind string) string {
	patterns, _ := p.setting("permalinks").(object)
	for _, table := range []object{patterns.object(kind), patterns} {
		for name, pattern := range table {
			if text, ok := pattern.value.(string); ok && strings.EqualFold(strings.Trim(name, " /"), p.section()) {
				return text
			}
		}
		if kind != "page" && kind != "term" {
			break // patterns without a kind apply to pages and terms only
		}
	}
	return ""
}

// expand replaces the tokens of a pattern. A backslash escapes a colon.
func (p hugoPage) expand(pattern string) (string, error) {
	const colon = "\x00" // an escaped one
	text, err := expandPattern(strings.ReplaceAll(pattern, `\:`, colon), hugoToken, p.token)
	text = strings.ReplaceAll(text, colon, ":")
	if plain, err := url.QueryUnescape(text); err == nil {
		text = plain
	}
	return text, err
}

// hugoDates are the layouts of tokens with a name, see [time.Time.Format].
var hugoDates = map[string]string{"month": "01", "monthname": "January", "day": "02", "weekdayname": "Monday"}

// token returns the value of a token without its colon.
func (p hugoPage) token(name string) (string, error) {
	escaped := func(values ...string) (string, error) {
		return url.PathEscape(p.sanitize(cut(cmp.Or(values...)))), nil
	}
	at, _, _ := p.date("date")
	switch name {
	case "year":
		return strconv.Itoa(at.Year()), nil
	case "weekday":
		return strconv.Itoa(int(at.Weekday())), nil
	case "yearday":
		return strconv.Itoa(at.YearDay()), nil
	case "section":
		return p.section(), nil
	case "sections":
		return path.Join(p.sections()...), nil
	case "title":
		return escaped(p.text("title"))
	case "slug":
		return escaped(p.slug(), p.text("title"))
	case "slugorfilename", "slugorcontentbasename":
		return escaped(p.slug(), p.fileName())
	case "filename", "contentbasename":
		return escaped(p.fileName())
	case "sectionslug", "sectionslugs":
		return "", fmt.Errorf(":%s, the slug of another page, is not supported", name)
	}
	if cut, ok := strings.CutPrefix(name, "sections["); ok {
		return path.Join(slice(p.sections(), strings.TrimSuffix(cut, "]"))...), nil
	}
	// Other tokens are layouts of dates.
	layout := cmp.Or(hugoDates[name], name)
	if reference := time.Date(2019, time.November, 9, 23, 1, 42, 1, time.UTC); reference.Format(layout) != layout {
		return at.Format(layout), nil
	}
	return "", fmt.Errorf(":%s is not a token of Hugo", name)
}

// sections returns the folders from the top to the innermost section of the page: the last folder with
// an _index file, else the first folder.
func (p hugoPage) sections() []string {
	folder, dir := p.container()
	for strings.Contains(dir, "/") && !p.pagesIn(folder)["_index"] {
		folder, dir = path.Dir(folder), parent(dir)
	}
	if dir == "" {
		return nil
	}
	return strings.Split(dir, "/")
}

// slice returns the names in a range such as 1, 1:, :2, 1:2 or last; none if it is out of range.
func slice(names []string, cut string) []string {
	index := func(text string, empty int) int {
		switch n, err := strconv.Atoi(text); {
		case text == "":
			return empty
		case text == "last":
			return len(names) - 1
		case err != nil || n < 0:
			return 0
		default:
			return n
		}
	}
	from, to, isRange := strings.Cut(strings.ToLower(cut), ":")
	begin := index(from, 0)
	end := begin + 1
	if isRange {
		end = min(index(to, len(names)), len(names))
	}
	if begin < 0 || begin >= end || end > len(names) {
		return nil
	}
	return names[begin:end]
}
