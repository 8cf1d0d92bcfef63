package seed

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hugoToken matches a part of a pattern that is replaced.
var hugoToken = regexp.MustCompile(`:\w+(\[.+?\])?`)

// permalink returns the pattern of the settings for pages of that kind in the page's
// section; empty if there is none.
func (p hugoPage) permalink(kind string) string {
	patterns, _ := p.setting("permalinks").(map[string]any)
	for _, table := range []settings{settings(patterns).table(kind), patterns} {
		for name, pattern := range table {
			if text, ok := pattern.(string); ok && strings.EqualFold(strings.Trim(name, " /"), p.section()) {
				return text
			}
		}
		if kind != "page" && kind != "term" {
			break // patterns without a kind are for these two
		}
	}
	return ""
}

// expand replaces the tokens of a pattern. A backslash keeps a colon.
func (p hugoPage) expand(pattern string) (string, error) {
	const kept = "\x00"
	if len(pattern) > maxPattern {
		return "", errLongPattern
	}
	var wrong error
	text := hugoToken.ReplaceAllStringFunc(strings.ReplaceAll(pattern, `\:`, kept), func(token string) string {
		value, err := p.token(token[1:])
		if err != nil {
			wrong = fmt.Errorf("the pattern %q: %w", pattern, err)
		}
		return cut(value)
	})
	text = strings.ReplaceAll(text, kept, ":")
	if plain, err := url.QueryUnescape(text); err == nil {
		text = plain
	}
	return text, wrong
}

// token returns the value of a token without its colon.
func (p hugoPage) token(name string) (string, error) {
	slugElse := func(other string) (string, error) {
		return url.PathEscape(p.sanitize(cut(orElse(p.slug(), other)))), nil
	}
	at, _, _ := p.date("date", "date", "publishdate", "lastmod")
	switch name {
	case "year":
		return strconv.Itoa(at.Year()), nil
	case "month":
		return at.Format("01"), nil
	case "monthname":
		return at.Month().String(), nil
	case "day":
		return at.Format("02"), nil
	case "weekday":
		return strconv.Itoa(int(at.Weekday())), nil
	case "weekdayname":
		return at.Weekday().String(), nil
	case "yearday":
		return strconv.Itoa(at.YearDay()), nil
	case "section":
		return p.section(), nil
	case "sections":
		return path.Join(p.sections()...), nil
	case "title":
		return url.PathEscape(p.sanitize(cut(p.text("title")))), nil
	case "slug":
		return slugElse(p.text("title"))
	case "slugorfilename", "slugorcontentbasename":
		return slugElse(p.fileName())
	case "filename", "contentbasename":
		return url.PathEscape(p.sanitize(p.fileName())), nil
	case "sectionslug", "sectionslugs":
		return "", fmt.Errorf(":%s takes the slug of another page, which is not read here", name)
	}
	if cut, ok := strings.CutPrefix(name, "sections["); ok {
		return path.Join(slice(p.sections(), strings.TrimSuffix(cut, "]"))...), nil
	}
	// Anything else that formats a date.
	if reference := time.Date(2019, time.November, 9, 23, 1, 42, 1, time.UTC); reference.Format(name) != name {
		return at.Format(name), nil
	}
	return "", fmt.Errorf(":%s is no token of Hugo", name)
}

// sections returns the names of the sections that hold the page: the first folder, and
// those below that have an _index file, down to the innermost.
func (p hugoPage) sections() []string {
	folder, dir := p.folder, p.dir
	if p.base == "index" {
		folder, dir = path.Dir(folder), parent(dir)
	}
	for strings.Contains(dir, "/") && !p.holds(folder, "_index") {
		folder, dir = path.Dir(folder), parent(dir)
	}
	if dir == "" {
		return nil
	}
	return strings.Split(dir, "/")
}

// slice returns the part of names that cut says: 1, 1:, :2, 1:2 or last, and none for
// what is out of range.
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
