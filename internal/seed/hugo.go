package seed

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// hugoExtensions are those of which Hugo makes pages.
var hugoExtensions = []string{".md", ".markdown", ".mdown", ".html", ".htm", ".org", ".adoc", ".asciidoc", ".ad", ".rst", ".rest", ".pandoc", ".pdc"}

// hugo derives keys by Hugo's rules. It was compared with Hugo 0.111 and 0.152.
type hugo struct {
	minor     int    // of Hugo's version: 152 for 0.152.2
	dir       string // of the project
	settings  settings
	mounts    []mount
	languages map[string]bool // by name in lower case; true if disabled
	fallback  string          // the default language
	multihost bool            // each language has a host of its own
	now       func() time.Time
	// bundles caches which folders are leaf bundles or sections until the next look.
	bundles map[string]bool
}

// mount says which folder holds content.
type mount struct {
	source   string // below the project
	target   string // below the content
	language string // empty: as the file's name says
}

const (
	// currentHugo means the newest version.
	currentHugo = 9999
	// newPaths is the version from which file names are normalised first, headless is for
	// all pages, and lists are index.html in sites with ugly URLs; newURLs the one from
	// which the field url may have tokens.
	newPaths, newURLs = 123, 131
)

// versionOfHugo matches a version as hugo version shows it, and as people write it.
var versionOfHugo = regexp.MustCompile(`(?:^|hugo )v?0\.(\d{1,4})(?:\.|\b)`)

// installedHugo returns the minor version of the hugo that is installed here, since that
// one probably builds the site; [currentHugo] if there is none.
func installedHugo() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // it answers in 0.1 s
	defer cancel()
	out, err := exec.CommandContext(ctx, "hugo", "version").Output()
	if err != nil {
		return currentHugo
	}
	return minorOf(string(out))
}

// minorOf returns the minor version in text; [currentHugo] if there is none.
func minorOf(text string) int {
	if found := versionOfHugo.FindStringSubmatch(text); found != nil {
		if minor, err := strconv.Atoi(found[1]); err == nil {
			return minor
		}
	}
	return currentHugo
}

// hugoFiles implements kind.files: hugo.toml and the like, then config/_default/ and
// config/production/.
func hugoFiles(dir string) []string {
	var files []string
	for _, name := range []string{"hugo", "config"} {
		files = existing(dir, name+".toml", name+".yaml", name+".yml", name+".json")
		if len(files) > 0 {
			files = files[:1]
			break
		}
	}
	for _, environment := range []string{"_default", "production"} {
		folder := filepath.Join(dir, "config", environment)
		entries, _ := os.ReadDir(folder) // most have none
		for _, entry := range entries {
			if slices.Contains([]string{".toml", ".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
				files = append(files, existing(folder, entry.Name())...)
			}
		}
	}
	return files
}

func readHugo(dir string, files []string) (generator, error) {
	all := settings{}
	for _, path := range files {
		some, err := readSettings(path)
		if err != nil {
			return nil, fmt.Errorf("%s %w", path, err)
		}
		// permalinks.toml holds what is below permalinks, and params.fr.toml what is below
		// languages.fr.params.
		name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
		name, language, _ := strings.Cut(name, ".")
		if name != "hugo" && name != "config" {
			some = settings{name: map[string]any(some)}
		}
		if language != "" {
			some = settings{"languages": map[string]any{language: map[string]any(some)}}
		}
		all.merge(some)
	}
	return newHugo(dir, all), nil
}

// assumeHugo takes the next folder around path that is called content for the content.
func assumeHugo(path string) (string, generator) {
	for dir := path; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if filepath.Base(dir) == "content" {
			return filepath.Dir(dir), newHugo(filepath.Dir(dir), settings{})
		}
	}
	h := newHugo(path, settings{})
	h.mounts = []mount{{}}
	return path, h
}

func newHugo(dir string, s settings) *hugo {
	h := &hugo{dir: dir, settings: s, languages: map[string]bool{}, bundles: map[string]bool{}, now: time.Now}
	if h.fallback = strings.ToLower(s.text("defaultContentLanguage")); h.fallback == "" {
		h.fallback = "en"
	}
	disabled := s.list("disableLanguages")
	hosts := 0
	for name := range s.table("languages") {
		language := strings.ToLower(name)
		h.languages[language] = s.isTrue("languages", name, "disabled") ||
			slices.ContainsFunc(disabled, func(each string) bool { return strings.EqualFold(each, name) })
		if !h.languages[language] && s.text("languages", name, "baseURL") != "" {
			hosts++
		}
	}
	h.multihost = hosts > 1
	for _, name := range slices.Sorted(maps.Keys(h.languages)) {
		if folder := s.text("languages", name, "contentDir"); folder != "" {
			h.mounts = append(h.mounts, mount{source: cleanPath(folder), language: name})
		}
	}
	mounts, _ := s.at("module", "mounts").([]any)
	if tables, ok := s.at("module", "mounts").([]map[string]any); ok {
		for _, each := range tables {
			mounts = append(mounts, each)
		}
	}
	hasContent := false
	for _, each := range mounts {
		table, _ := each.(map[string]any)
		target := cleanPath(settings(table).text("target"))
		if target != "content" && !strings.HasPrefix(target, "content/") {
			continue
		}
		hasContent = true
		h.mounts = append(h.mounts, mount{
			source: cleanPath(settings(table).text("source")), language: strings.ToLower(settings(table).text("lang")),
			target: strings.Trim(strings.TrimPrefix(target, "content"), "/"),
		})
	}
	if !hasContent {
		folder := s.text("contentDir")
		if folder == "" {
			folder = "content"
		}
		h.mounts = append(h.mounts, mount{source: cleanPath(folder)})
	}
	// The longest first: content/fr may stand in content.
	slices.SortStableFunc(h.mounts, func(a, b mount) int { return len(b.source) - len(a.source) })
	return h
}

// cleanPath returns a path of the settings without dots and slashes at its ends.
func cleanPath(text string) string { return strings.Trim(path.Clean("/"+filepath.ToSlash(text)), "/") }

func (h *hugo) contains(name string) bool {
	return slices.ContainsFunc(h.mounts, func(m mount) bool {
		return m.source == "" || name == m.source || strings.HasPrefix(name, m.source+"/") || strings.HasPrefix(m.source, name+"/")
	})
}

// hugoPage is a file that may become a page.
type hugoPage struct {
	*hugo
	language string
	folder   string // on disk, below the project
	dir      string // below the content
	file     string // its name
	base     string // the name without language and extension; index and _index are bundles
	field    fields
}

func (h *hugo) key(name string, field fields) (string, error) {
	p, ok := h.page(name, field)
	if !ok {
		return "", &unpublished{} // it belongs to a theme, or is documentation
	}
	if err := p.published(); err != nil {
		return "", err
	}
	address, err := p.address()
	if err != nil {
		return "", err
	}
	return pagekey.OfPath(joinPath(p.basePath()) + "/" + strings.TrimLeft(address, "/"))
}

// page returns the page that a file may become.
func (h *hugo) page(name string, field fields) (hugoPage, bool) {
	for _, m := range h.mounts {
		rest := name
		if m.source != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(name, m.source+"/"); !ok {
				continue
			}
		}
		dir, file := path.Split(joined(m.target, rest))
		p := hugoPage{hugo: h, language: m.language, folder: path.Dir(name), dir: strings.Trim(dir, "/"), file: file, field: field}
		p.base = strings.TrimSuffix(file, path.Ext(file))
		if suffix := path.Ext(p.base); suffix != "" {
			if _, known := h.languages[strings.ToLower(suffix[1:])]; known {
				p.language, p.base = strings.ToLower(suffix[1:]), strings.TrimSuffix(p.base, suffix)
			}
		}
		if p.language == "" {
			p.language = h.fallback
		}
		p.dir = p.normal(p.dir)
		return p, true
	}
	return hugoPage{}, false
}

// normal returns a path of files as new versions of Hugo take it.
func (p hugoPage) normal(path string) string {
	if p.minor >= newPaths && !isTrue(p.setting("disablePathToLower")) {
		return strings.ReplaceAll(path, " ", "-")
	}
	return path
}

// setting returns a setting of the page's language, else of the site.
func (p hugoPage) setting(names ...string) any {
	if value := p.settings.at(append([]string{"languages", p.language}, names...)...); value != nil {
		return value
	}
	return p.settings.at(names...)
}

func (p hugoPage) value(name string) any {
	value, _, _ := p.field(name)
	return value
}

func (p hugoPage) text(name string) string { return plainText(p.value(name)) }

func (p hugoPage) isSet(name string) bool {
	_, _, ok := p.field(name)
	return ok
}

// published returns why the file becomes no page.
func (p hugoPage) published() error {
	if bundle := p.bundle(); bundle != "" {
		return &unpublished{reason: fmt.Sprintf("is a resource of the bundle %s, not a page", bundle)}
	}
	for _, pattern := range p.settings.list("ignoreFiles") {
		if ignored, err := regexp.Compile(pattern); err == nil && ignored.MatchString(filepath.Join(p.dirOf(p.folder), p.file)) {
			return &unpublished{reason: "is ignored by the settings (ignoreFiles)"}
		}
	}
	if kind := p.kind(); slices.ContainsFunc(p.settings.list("disableKinds"), func(each string) bool {
		return strings.EqualFold(each, kind) || kind == "section" && p.dir == "" && strings.EqualFold(each, "home")
	}) {
		return &unpublished{reason: "is of a kind that is disabled, " + kind}
	}
	if p.languages[p.language] {
		return &unpublished{reason: fmt.Sprintf("is in the language %s, which is disabled", p.language)}
	}
	switch {
	case p.isSet("draft"):
		if isTrue(p.value("draft")) && !p.settings.isTrue("buildDrafts") {
			return &unpublished{reason: "is a draft"}
		}
	case p.text("published") == "false" && !p.settings.isTrue("buildDrafts"):
		return &unpublished{reason: "is not published"}
	}
	if (p.base == "index" || p.minor >= newPaths) && isTrue(p.value("headless")) {
		return &unpublished{reason: "is headless"}
	}
	for _, name := range []string{"build.render", "_build.render"} {
		if render := p.text(name); p.isSet(name) && render != "always" && render != "true" && render != "" {
			return &unpublished{reason: "is not rendered (" + name + ": " + render + ")"}
		}
	}
	now := p.now()
	if at, _, ok := p.date("publishdate", "publishdate", "date"); ok && at.After(now) && !p.settings.isTrue("buildFuture") {
		return &unpublished{reason: "is published at " + at.Format(time.RFC3339), until: at}
	}
	if at, _, ok := p.date("expirydate", "expirydate"); ok && at.Before(now) && !p.settings.isTrue("buildExpired") {
		return &unpublished{reason: "expired at " + at.Format(time.RFC3339)}
	}
	return nil
}

// kind returns what Hugo calls the kind of the page: page, section, taxonomy or term, the
// home page being a section.
func (p hugoPage) kind() string {
	if p.base != "_index" {
		return "page"
	}
	taxonomies := p.settings.table("taxonomies")
	if taxonomies == nil {
		taxonomies = settings{"tag": "tags", "category": "categories"}
	}
	for _, plural := range taxonomies {
		if rest, ok := strings.CutPrefix(p.dir+"/", plainText(plural)+"/"); ok && rest == "" {
			return "taxonomy"
		} else if ok {
			return "term"
		}
	}
	return "section"
}

// bundle returns the folder below the content of the leaf bundle that holds the page as
// one of its resources; empty if there is none.
func (p hugoPage) bundle() string {
	folder, dir := p.folder, p.dir
	if p.base == "index" {
		folder, dir = path.Dir(folder), parent(dir)
	}
	for ; ; folder, dir = path.Dir(folder), parent(dir) {
		if p.holds(folder, "index") {
			return dir + "/"
		}
		if dir == "" {
			return ""
		}
	}
}

// holds reports whether a folder below the project has a page with that base name.
func (p hugoPage) holds(folder, base string) bool {
	cached := folder + "\x00" + base
	if known, ok := p.bundles[cached]; ok {
		return known
	}
	found := false
	for _, extension := range hugoExtensions {
		for _, language := range append([]string{""}, slices.Collect(maps.Keys(p.languages))...) {
			if language != "" {
				language = "." + language
			}
			if _, err := os.Stat(filepath.Join(p.dirOf(folder), base+language+extension)); err == nil {
				found = true
			}
		}
	}
	p.bundles[cached] = found
	return found
}

func (p hugoPage) dirOf(folder string) string {
	return filepath.Join(p.hugo.dir, filepath.FromSlash(folder))
}

// parent is [path.Dir] of a relative path; empty for the top.
func parent(dir string) string {
	if dir = path.Dir(dir); dir == "." {
		return ""
	}
	return dir
}

// fileName returns what the file is called, a bundle by its folder.
func (p hugoPage) fileName() string {
	if p.base == "index" || p.base == "_index" {
		return path.Base(p.folder)
	}
	return p.base
}

// section returns the first folder of the page, by which settings name it.
func (p hugoPage) section() string {
	dir := p.dir
	if p.base == "index" {
		dir = parent(dir)
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// slug returns the slug, which a date in the file's name may give.
func (p hugoPage) slug() string {
	if p.isSet("slug") {
		return strings.Trim(p.text("slug"), "-")
	}
	for _, which := range [][]string{{"date", "date", "publishdate", "lastmod"}, {"publishdate", "publishdate", "date"}} {
		if _, slug, ok := p.date(which[0], which[1:]...); ok && slug != "" {
			return slug
		}
	}
	return ""
}

// aliases are other names of fields with dates.
var aliases = map[string][]string{"lastmod": {"modified"}, "publishdate": {"pubdate", "published"}, "expirydate": {"unpublishdate"}}

// date returns one of the page's dates, from the first source that has one: those that
// the settings name, else the usual ones. A date in the file's name comes with a slug.
func (p hugoPage) date(which string, usual ...string) (at time.Time, slug string, ok bool) {
	zone := location(plainText(p.setting("timeZone")), time.UTC)
	sources := listOf(p.setting("frontmatter", which))
	if len(sources) == 0 {
		sources = []string{":default"}
	}
	if i := slices.Index(sources, ":default"); i >= 0 {
		sources = slices.Concat(sources[:i], usual, sources[i+1:])
	}
	for _, source := range sources {
		source = strings.ToLower(source)
		if source == ":filename" {
			name := p.fileName()
			if len(name) < 10 {
				continue
			}
			if at, ok := dateOf(name[:10], zone); ok {
				return at, strings.Trim(name[10:], " -_"), true
			}
			continue
		}
		for _, name := range append([]string{source}, aliases[source]...) {
			if value, _, found := p.field(name); found {
				if at, ok := dateOf(value, zone); ok {
					return at, "", true
				}
			}
		}
	}
	return time.Time{}, "", false
}

// basePath returns the path of the site's address.
func (p hugoPage) basePath() string {
	base, err := url.Parse(plainText(p.setting("baseURL")))
	if err != nil {
		return ""
	}
	return base.EscapedPath()
}

// prefix returns the language in the page's path; empty if it has none.
func (p hugoPage) prefix() string {
	enabled := 0
	for _, disabled := range p.languages {
		if !disabled {
			enabled++
		}
	}
	inSubdir := p.settings.isTrue("defaultContentLanguageInSubdir")
	if p.multihost || p.language == p.fallback && !inSubdir || enabled < 2 && p.minor < newPaths {
		return ""
	}
	return p.language
}

// joinPath joins parts of a path and keeps none of their slashes at the ends.
func joinPath(parts ...string) string {
	all := ""
	for _, part := range parts {
		if part = strings.Trim(part, "/"); part != "" {
			all += "/" + part
		}
	}
	return all
}

// address returns the escaped path of the page.
func (p hugoPage) address() (string, error) {
	kind := p.kind()
	isBranch := kind != "page"
	if given := p.text("url"); given != "" && !(isBranch && p.dir == "") {
		return p.given(given)
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
		name = joinPath(parent(p.dir), orElse(p.slug(), path.Base("/"+p.dir)))
	default:
		name = joinPath(p.dir, orElse(p.slug(), p.normal(p.base)))
	}
	name = joinPath(p.prefix(), path.Join("/", name))
	if p.isUgly() && name != "" && !(isBranch && kind != "term" && (p.dir == "" || p.minor >= newPaths)) {
		name += ".html"
	}
	name = p.sanitize(name)
	if p.minor >= newPaths { // older versions leave # as it is, which ends the path
		name = strings.ReplaceAll(name, "#", "%23")
	}
	return name, nil
}

// given returns the path that the field url says. Without a leading slash it is below the
// language's.
func (p hugoPage) given(address string) (string, error) {
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		return "", fmt.Errorf("url is %q; Hugo takes paths alone", address)
	}
	if strings.Contains(address, ":") && p.minor >= newURLs {
		expanded, err := p.expand(address)
		if err != nil {
			return "", err
		}
		address = expanded
	}
	if p.minor < newPaths {
		if strings.HasSuffix(address, "/index.html") {
			address += "/" // as these versions write it
		}
		if p.base == "_index" {
			address = p.sanitize(address)
		}
	}
	if prefix := p.prefix(); !strings.HasPrefix(address, "/") && prefix != "" {
		address = prefix + "/" + address
	}
	return address, nil
}

// isUgly reports whether the page ends in .html.
func (p hugoPage) isUgly() bool {
	ugly := p.setting("uglyURLs")
	if bySection, ok := ugly.(map[string]any); ok {
		return settings(bySection).isTrue(p.section())
	}
	return isTrue(ugly)
}

// sanitize makes of text what Hugo takes into a path: without signs, with hyphens for
// spaces, in lower case unless the site keeps it.
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

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
