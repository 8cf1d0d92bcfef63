package seed

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// jekyll derives keys by Jekyll's rules, those of version 4.
type jekyll struct {
	settings settings
	source   string // below the project; empty if it is the project
	zone     *time.Location
	now      func() time.Time
}

// jekyllFiles implements kind.files.
func jekyllFiles(dir string) []string {
	files := existing(dir, "_config.yml", "_config.yaml", "_config.toml")
	return files[:min(1, len(files))]
}

func readJekyll(_ string, files []string) (generator, error) {
	s, err := readSettings(files[0])
	if err != nil {
		return nil, fmt.Errorf("%s %w", files[0], err)
	}
	return newJekyll(s), nil
}

// assumeJekyll takes the folder that holds the next _posts around path for the project.
func assumeJekyll(path string) (string, generator) {
	for dir := path; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if filepath.Base(dir) == "_posts" {
			return filepath.Dir(dir), newJekyll(nil)
		}
	}
	return path, newJekyll(nil)
}

func newJekyll(s settings) *jekyll {
	if s == nil {
		s = settings{}
	}
	return &jekyll{settings: s, source: cleanPath(s.text("source")), zone: location(s.text("timezone"), time.Local), now: time.Now}
}

func (j *jekyll) contains(name string) bool {
	return j.source == "" || name == j.source || strings.HasPrefix(name, j.source+"/")
}

// jekyllPage is a file that may become a page.
type jekyllPage struct {
	*jekyll
	collection string // empty for a page
	path       string // below the source, or below the folder of collections
	dir        string // below the source, or below the collection's own folder
	base, ext  string // the file's name
	above      []string
	field      fields
}

const collectionOfPosts = "posts"

// datedName matches the name of a post.
var datedName = regexp.MustCompile(`^(\d{2,4}-\d{1,2}-\d{1,2})-(.*)$`)

func (j *jekyll) key(name string, field fields) (string, error) {
	p, err := j.page(name, field)
	if err != nil {
		return "", err
	}
	if p.value("published") == false || p.text("published") == "false" {
		if !p.settings.isTrue("unpublished") {
			return "", &unpublished{reason: "is not published"}
		}
	}
	if at := p.date(); p.collection == collectionOfPosts && at.After(p.now()) && !p.settings.isTrue("future") {
		return "", &unpublished{reason: "is published at " + at.Format(time.RFC3339), until: at}
	}
	address, err := p.address()
	if err != nil {
		return "", err
	}
	base := ""
	if site, err := url.Parse(p.settings.text("url")); err == nil {
		base = site.EscapedPath()
	}
	return pagekey.OfPath(joinPath(base, p.settings.text("baseurl"), address))
}

// page returns the page that a file may become.
func (j *jekyll) page(name string, field fields) (jekyllPage, error) {
	none := func(reason string) (jekyllPage, error) { return jekyllPage{}, &unpublished{reason: reason} }
	if j.source != "" {
		rest, ok := strings.CutPrefix(name, j.source+"/")
		if !ok {
			return none("")
		}
		name = rest
	}
	if j.isExcluded(name) {
		return none("is excluded by the settings")
	}
	p := jekyllPage{jekyll: j, path: name, field: field}
	if within := cleanPath(j.settings.text("collections_dir")); within != "" {
		if rest, ok := strings.CutPrefix(name, within+"/"); ok {
			p.path = rest
		} else if slices.Contains(strings.Split(name, "/"), "_posts") {
			return none("") // posts are in that folder alone
		}
	}
	segments := strings.Split(p.path, "/")
	file := segments[len(segments)-1]
	p.ext = path.Ext(file)
	p.base = strings.TrimSuffix(file, p.ext)
	folders := segments[:len(segments)-1]
	for i, folder := range folders {
		switch {
		case folder == "_posts":
			if !datedName.MatchString(p.base) {
				return none("has no date in its name, so Jekyll does not take it for a post")
			}
			p.collection, p.above = collectionOfPosts, folders[:i]
			p.dir = strings.Join(slices.Concat(folders[:i], folders[i+1:]), "/")
			return p, nil
		case folder == "_drafts":
			if !j.settings.isTrue("show_drafts") {
				return none("is a draft")
			}
			p.collection, p.above = collectionOfPosts, folders[:i]
			p.dir = strings.Join(slices.Concat(folders[:i], folders[i+1:]), "/")
			return p, nil
		case i == 0 && strings.HasPrefix(folder, "_") && j.hasCollection(folder[1:]):
			if !j.settings.isTrue("collections", folder[1:], "output") {
				return none("is in the collection " + folder[1:] + ", which has no pages (output: true)")
			}
			p.collection, p.dir = folder[1:], strings.Join(folders[1:], "/")
			if strings.ContainsRune("._#~", rune(file[0])) && !j.isIncluded(name) {
				return none("")
			}
			return p, nil
		}
		if strings.ContainsRune("._#~", rune(folder[0])) && !j.isIncluded(strings.Join(folders[:i+1], "/")) {
			return none("")
		}
	}
	if strings.ContainsRune("._#~", rune(file[0])) && !j.isIncluded(name) {
		return none("")
	}
	p.path, p.dir = name, parent(name) // pages do not care about the folder of collections
	return p, nil
}

func (j *jekyll) hasCollection(name string) bool {
	if slices.Contains(j.settings.list("collections"), name) {
		return true // a list has no settings, so its collections have no pages
	}
	_, ok := j.settings.table("collections")[name]
	return ok
}

// excludes are the paths that Jekyll leaves out by default.
var excludes = []string{"node_modules", "vendor/bundle/", "vendor/cache/", "vendor/gems/", "vendor/ruby/", "gemfiles"}

func (j *jekyll) isExcluded(name string) bool {
	destination := orElse(cleanPath(j.settings.text("destination")), "_site")
	patterns := slices.Concat(j.settings.list("exclude"), excludes, []string{destination + "/"})
	return matchesAny(patterns, name) && !j.isIncluded(name)
}

func (j *jekyll) isIncluded(name string) bool {
	patterns := j.settings.list("include")
	return matchesAny(patterns, name) || matchesAny(patterns, path.Base(name))
}

// matchesAny reports whether a path, or a folder around it, matches one of the patterns
// or begins with it.
func matchesAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		pattern = strings.TrimPrefix(pattern, "/")
		if pattern == "" {
			continue
		}
		if strings.HasPrefix(name, pattern) {
			return true
		}
		for part := name; part != ""; part = parent(part) {
			if globbed(pattern, part) {
				return true
			}
		}
	}
	return false
}

// globbed is Ruby's File.fnmatch without flags: a star matches slashes, too.
func globbed(pattern, name string) bool {
	const slash = "\x01" // no name has it
	hidden := strings.NewReplacer("**/", "*", "/", slash)
	ok, err := path.Match(hidden.Replace(strings.TrimSuffix(pattern, "/")), strings.ReplaceAll(name, "/", slash))
	return err == nil && ok
}

// value returns a field of the page, else the default that the settings give it.
func (p jekyllPage) value(name string) any {
	if value, _, ok := p.field(name); ok {
		return value
	}
	return p.fallback(name)
}

func (p jekyllPage) text(name string) string { return plainText(p.value(name)) }

// fallback returns the value of the most specific of the settings' defaults.
func (p jekyllPage) fallback(name string) (value any) {
	kind := orElse(p.collection, "pages")
	length, typed := -1, false
	defaults, _ := p.settings.at("defaults").([]any)
	for _, each := range defaults {
		table, _ := each.(map[string]any)
		set := settings(table)
		given, ok := set.table("values")[name]
		if !ok {
			continue
		}
		scope := strings.TrimPrefix(set.text("scope", "path"), "/")
		of := set.text("scope", "type")
		if singular := map[string]string{"post": collectionOfPosts, "page": "pages", "draft": "drafts"}[of]; singular != "" {
			of = singular
		}
		if of != "" && of != kind || !p.isWithin(scope) {
			continue
		}
		if len(scope) > length || len(scope) == length && (of != "" || !typed) {
			value, length, typed = given, len(scope), of != ""
		}
	}
	return value
}

// isWithin reports whether a scope of the defaults holds the page.
func (p jekyllPage) isWithin(scope string) bool {
	if within := cleanPath(p.settings.text("collections_dir")); within != "" {
		scope = strings.TrimPrefix(scope, within+"/")
	}
	if !strings.Contains(scope, "*") {
		return strings.HasPrefix(p.path, scope)
	}
	for part := p.path; part != ""; part = parent(part) {
		if ok, err := path.Match(strings.TrimSuffix(scope, "/"), part); err == nil && ok {
			return true
		}
	}
	return false
}

// date returns the date of a post or document.
func (p jekyllPage) date() time.Time {
	if at, ok := dateOf(p.value("date"), p.zone); ok {
		return at.In(p.zone)
	}
	if dated := datedName.FindStringSubmatch(p.base); dated != nil {
		if at, ok := dateOf(dated[1], p.zone); ok {
			return at
		}
	}
	return time.Time{}
}

// styles are the patterns that have a name.
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

// pattern returns the pattern of the settings.
func (p jekyllPage) pattern() string {
	style := orElse(p.settings.text("permalink"), "date")
	if p.collection == collectionOfPosts {
		return orElse(p.settings.text("collections", p.collection, "permalink"), orElse(styles[style], style))
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

// outputExtension returns the extension of what is made of the file.
func (p jekyllPage) outputExtension() string {
	markdown := orElse(p.settings.text("markdown_ext"), "markdown,mkdown,mkdn,mkd,md")
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

// jekyllToken matches a part of a pattern that is replaced.
var jekyllToken = regexp.MustCompile(`:[a-z_]+`)

// expand replaces the tokens in the pattern of a post or document.
func (p jekyllPage) expand(pattern string) (string, error) {
	var wrong error
	return jekyllToken.ReplaceAllStringFunc(pattern, func(token string) string {
		name := token[1:]
		value, ok := p.token(name)
		rest := ""
		if bare := strings.TrimSuffix(name, "_"); !ok && bare != name {
			value, ok = p.token(bare)
			rest = "_"
		}
		if !ok {
			wrong = fmt.Errorf("the pattern %q: :%s is no token of Jekyll", pattern, name)
		}
		return cut(escapeValue(value)) + rest
	}), wrong
}

// escapeValue escapes what would end the path or be decoded.
func escapeValue(text string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(text)
}

// dateTokens are the forms of dates, as [time.Time.Format] writes them.
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

// slugified replaces what matches by hyphens.
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

// categories returns the page's categories as normal writes them, each once: the folders
// above _posts, the defaults', the page's own.
func (p jekyllPage) categories(normal func(string) string) (all []string) {
	own, _, _ := p.field("categories")
	single := listOf(p.value("category"))
	for _, each := range slices.Concat(p.above, words(p.fallback("categories")), words(own), single) {
		if each = normal(each); !slices.Contains(all, each) {
			all = append(all, each)
		}
	}
	return all
}

// words returns a list, or the words of one text.
func words(value any) []string {
	if text := plainText(value); text != "" {
		return strings.Fields(text)
	}
	return listOf(value)
}
