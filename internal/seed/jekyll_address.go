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
	text, err := p.expand(pattern)
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

// jekyllToken matches a token in the pattern of a post or document.
var jekyllToken = regexp.MustCompile(`:[a-z_]+`)

// expand replaces the tokens of a pattern.
func (p jekyllPage) expand(pattern string) (string, error) {
	switch {
	case p.collection != "":
		return expandPattern(pattern, jekyllToken, p.token)
	case len(pattern) > maxPattern:
		return "", errLongPattern
	}
	return strings.NewReplacer(
		":path", escapeValue(p.dir), ":basename", escapeValue(strings.TrimRight(p.base, ".")), ":output_ext", p.outputExtension(),
	).Replace(pattern), nil
}

// dateTokens are the layouts of tokens, see [time.Time.Format].
var dateTokens = map[string]string{
	"year": "2006", "short_year": "06", "month": "01", "i_month": "1", "short_month": "Jan", "long_month": "January",
	"day": "02", "i_day": "2", "y_day": "002", "short_day": "Mon", "long_day": "Monday", "hour": "15", "minute": "04", "second": "05",
}

// token returns the value of a token in the pattern of a post or document. An underscore may
// follow the token.
func (p jekyllPage) token(name string) (string, error) {
	if value, ok := p.valueOf(name); ok {
		return escapeValue(value), nil
	}
	if value, ok := p.valueOf(strings.TrimSuffix(name, "_")); ok {
		return escapeValue(value) + "_", nil
	}
	return "", fmt.Errorf(":%s is not a token of Jekyll", name)
}

func (p jekyllPage) valueOf(token string) (value string, ok bool) {
	at := p.date()
	if layout, ok := dateTokens[token]; ok {
		return at.Format(layout), true
	}
	year, week := at.ISOWeek()
	switch token {
	case "w_year":
		value = fmt.Sprintf("%04d", year)
	case "week":
		value = fmt.Sprintf("%02d", week)
	case "w_day":
		value = fmt.Sprint((int(at.Weekday())+6)%7 + 1)
	case "collection":
		value = p.collection
	case "output_ext":
		value = p.outputExtension()
	case "path":
		value = joinPath(p.dir, strings.TrimRight(p.base, "."))
	case "name":
		value = slugified(p.base)
	case "title":
		value = hyphenated(p.slug(), notReadable)
	case "slug":
		value = slugified(p.slug())
	case "categories":
		value = strings.Join(p.categories(strings.ToLower), "/")
	case "slugified_categories":
		value = strings.Join(p.categories(slugified), "/")
	default:
		return "", false
	}
	return value, true
}

var (
	notWord     = regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}]+`)
	notReadable = regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}._~!$&'()+,;=@]+`)
)

func slugified(text string) string { return strings.ToLower(hyphenated(text, notWord)) }

// hyphenated replaces matches by hyphens.
func hyphenated(text string, replaced *regexp.Regexp) string {
	return strings.Trim(replaced.ReplaceAllString(text, "-"), "-")
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

// categories returns the categories of the page, each once and converted by format: the folders above
// _posts, the defaults, then those of the page.
func (p jekyllPage) categories(format func(string) string) (all []string) {
	single := listOf(p.value("category"))
	for _, each := range slices.Concat(p.above, words(p.defaultOf("categories")), words(p.fields.value("categories")), single) {
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
