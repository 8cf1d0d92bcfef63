package seed

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// styles are the patterns with a name.
var styles = map[string]string{
	"none":     "/:categories/:title:output_ext",
	"date":     "/:categories/:year/:month/:day/:title:output_ext",
	"ordinal":  "/:categories/:year/:y_day/:title:output_ext",
	"pretty":   "/:categories/:year/:month/:day/:title/",
	"weekdate": "/:categories/:year/W:week/:short_day/:title:output_ext",
}

// address returns the escaped path of the page.
func (p jekyllPage) address() (string, error) {
	pattern := p.text("permalink")
	if pattern == "" {
		pattern = p.pattern()
	}
	address := p.expand
	if p.collection == "" {
		address = p.expandPage
	}
	if len(pattern) > maxPattern {
		return "", errLongPattern
	}
	text, err := address(pattern)
	if err != nil {
		return "", err
	}
	text = strings.ReplaceAll(strings.ReplaceAll("/"+text, "..", "/"), "./", "")
	return slashes.ReplaceAllString(text, "/"), nil
}

var slashes = regexp.MustCompile(`/{2,}`)

// pattern returns the pattern in the settings.
func (p jekyllPage) pattern() string {
	style := cmp.Or(p.settings.text("permalink"), "date")
	if p.collection == collectionOfPosts {
		return cmp.Or(p.settings.text("collections", p.collection, "permalink"), cmp.Or(styles[style], style))
	}
	if pattern := p.settings.text("collections", p.collection, "permalink"); p.collection != "" && pattern != "" {
		return pattern
	}
	if p.collection == "" && p.base == "index" && p.outputExtension() == ".html" {
		return "/:path/"
	}
	pattern := "/:path/:basename"
	if p.collection != "" {
		pattern = "/:collection/:path"
	}
	switch {
	case style == "pretty" || strings.HasSuffix(style, "/"):
		return pattern + "/"
	case style == "date" || style == "ordinal" || style == "none" || strings.HasSuffix(style, ":output_ext"):
		return pattern + ":output_ext"
	}
	return pattern
}

// outputExtension returns the extension of the generated file.
func (p jekyllPage) outputExtension() string {
	markdown := cmp.Or(p.settings.text("markdown_ext"), "markdown,mkdown,mkdn,mkd,md")
	if slices.Contains(strings.Split(markdown, ","), strings.ToLower(strings.TrimPrefix(p.ext, "."))) {
		return ".html"
	}
	return p.ext
}

// expandPage replaces the tokens in the pattern of a page.
func (p jekyllPage) expandPage(pattern string) (string, error) {
	return strings.NewReplacer(
		":path", escapeValue(p.dir), ":basename", escapeValue(strings.TrimRight(p.base, ".")), ":output_ext", p.outputExtension(),
	).Replace(pattern), nil
}

// jekyllToken matches a token of a pattern.
var jekyllToken = regexp.MustCompile(`:[a-z_]+`)

// expand replaces the tokens in the pattern of a post or document.
func (p jekyllPage) expand(pattern string) (string, error) {
	var invalid error
	return jekyllToken.ReplaceAllStringFunc(pattern, func(token string) string {
		name := token[1:]
		value, ok := p.token(name)
		rest := ""
		if bare := strings.TrimSuffix(name, "_"); !ok && bare != name {
			value, ok = p.token(bare)
			rest = "_"
		}
		if !ok {
			invalid = fmt.Errorf("the pattern %q: :%s is not a token of Jekyll", pattern, name)
		}
		return cut(escapeValue(value)) + rest
	}), invalid
}

// dateTokens are the layouts of tokens, see [time.Time.Format].
var dateTokens = map[string]string{
	"year": "2006", "short_year": "06", "month": "01", "i_month": "1", "short_month": "Jan", "long_month": "January",
	"day": "02", "i_day": "2", "y_day": "002", "short_day": "Mon", "long_day": "Monday", "hour": "15", "minute": "04", "second": "05",
}

// token returns the value of a token without its colon.
func (p jekyllPage) token(name string) (string, bool) {
	if layout, ok := dateTokens[name]; ok {
		return p.date().Format(layout), true
	}
	year, week := p.date().ISOWeek()
	switch name {
	case "w_year":
		return fmt.Sprintf("%04d", year), true
	case "week":
		return fmt.Sprintf("%02d", week), true
	case "w_day":
		return fmt.Sprint((int(p.date().Weekday())+6)%7 + 1), true
	case "collection":
		return p.collection, true
	case "output_ext":
		return p.outputExtension(), true
	case "path":
		return joinPath(p.dir, strings.TrimRight(p.base, ".")), true
	case "name":
		return slugified(p.base, notWord, true), true
	case "title":
		return slugified(p.slug(), notReadable, false), true
	case "slug":
		return slugified(p.slug(), notWord, true), true
	case "categories":
		return strings.Join(p.categories(strings.ToLower), "/"), true
	case "slugified_categories":
		return strings.Join(p.categories(func(text string) string { return slugified(text, notWord, true) }), "/"), true
	}
	return "", false
}

var (
	notWord     = regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}]+`)
	notReadable = regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}._~!$&'()+,;=@]+`)
)

// slugified replaces matches by hyphens.
func slugified(text string, replaced *regexp.Regexp, lower bool) string {
	text = strings.Trim(replaced.ReplaceAllString(text, "-"), "-")
	if lower {
		text = strings.ToLower(text)
	}
	return text
}

// slug returns the field slug, else the file's name without its date.
func (p jekyllPage) slug() string {
	if slug := p.text("slug"); slug != "" {
		return slug
	}
	name := p.base
	if dated := datedName.FindStringSubmatch(name); dated != nil {
		name = dated[2]
	}
	return strings.TrimRight(name, ".")
}

// categories returns the categories of the page in the form of format, each once: the folders
// above _posts, the defaults, then the page's own.
func (p jekyllPage) categories(format func(string) string) (all []string) {
	own, _, _ := p.field("categories")
	single := listOf(p.value("category"))
	for _, each := range slices.Concat(p.above, words(p.defaultOf("categories")), words(own), single) {
		if each = format(each); !slices.Contains(all, each) {
			all = append(all, each)
		}
	}
	return all
}

// words returns the texts of a list, or the words of one text.
func words(value any) []string {
	if text := textOf(value); text != "" {
		return strings.Fields(text)
	}
	return listOf(value)
}
