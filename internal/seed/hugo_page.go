package seed

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// hugoPage is a file that may become a page.
type hugoPage struct {
	*hugo
	language string
	folder   string // below the project
	dir      string // below the content
	file     string // the file's name
	base     string // the name without language and extension; index and _index are bundles
	field    fields
}

func (h *hugo) key(name string, field fields) (string, error) {
	p, ok := h.page(name, field)
	if !ok {
		return "", &unpublished{} // a file of a theme, or documentation
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
		dir, file := path.Split(path.Join(m.target, rest))
		p := hugoPage{hugo: h, language: m.language, folder: path.Dir(name), dir: strings.Trim(dir, "/"), file: file, field: field}
		p.base = strings.TrimSuffix(file, path.Ext(file))
		if suffix := path.Ext(p.base); suffix != "" {
			if _, known := h.languages[strings.ToLower(suffix[1:])]; known {
				p.language, p.base = strings.ToLower(suffix[1:]), strings.TrimSuffix(p.base, suffix)
			}
		}
		if p.language == "" {
			p.language = h.defaultLanguage
		}
		p.dir = p.normalized(p.dir)
		return p, true
	}
	return hugoPage{}, false
}

// normalized returns a path of files as new versions of Hugo normalise it.
func (p hugoPage) normalized(path string) string {
	if p.minor >= newPaths && !isTrue(p.setting("disablePathToLower")) {
		return strings.ReplaceAll(path, " ", "-")
	}
	return path
}

// setting returns the setting of the page's language, else of the site.
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

func (p hugoPage) text(name string) string { return textOf(p.value(name)) }

func (p hugoPage) isSet(name string) bool {
	_, _, ok := p.field(name)
	return ok
}

// published returns an [*unpublished] error if Hugo makes no page of the file.
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
		return &unpublished{reason: "is of the disabled kind " + kind}
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
	now := time.Now()
	if at, _, ok := p.date("publishdate", "publishdate", "date"); ok && at.After(now) && !p.settings.isTrue("buildFuture") {
		return &unpublished{reason: "is published at " + at.Format(time.RFC3339), until: at}
	}
	if at, _, ok := p.date("expirydate", "expirydate"); ok && at.Before(now) && !p.settings.isTrue("buildExpired") {
		return &unpublished{reason: "expired at " + at.Format(time.RFC3339)}
	}
	return nil
}

// kind returns the kind of the page: page, section, taxonomy or term. The home page is a
// section.
func (p hugoPage) kind() string {
	if p.base != "_index" {
		return "page"
	}
	taxonomies := p.settings.object("taxonomies")
	if taxonomies == nil {
		taxonomies = object{"tag": {value: "tags"}, "category": {value: "categories"}}
	}
	for _, plural := range taxonomies {
		if rest, ok := strings.CutPrefix(p.dir+"/", textOf(plural.value)+"/"); ok && rest == "" {
			return "taxonomy"
		} else if ok {
			return "term"
		}
	}
	return "section"
}

// bundle returns the folder of the leaf bundle of which the page is a resource; empty if
// there is none.
func (p hugoPage) bundle() string {
	folder, dir := p.folder, p.dir
	if p.base == "index" {
		folder, dir = path.Dir(folder), parent(dir)
	}
	for ; ; folder, dir = path.Dir(folder), parent(dir) {
		if p.hasPage(folder, "index") {
			return dir + "/"
		}
		if dir == "" {
			return ""
		}
	}
}

// hasPage reports whether a folder below the project has a page with the base name.
func (p hugoPage) hasPage(folder, base string) bool {
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

// fileName returns the name of the page's file; for a bundle that of its folder.
func (p hugoPage) fileName() string {
	if p.base == "index" || p.base == "_index" {
		return path.Base(p.folder)
	}
	return p.base
}

// section returns the first folder of the page, by which settings refer to it.
func (p hugoPage) section() string {
	dir := p.dir
	if p.base == "index" {
		dir = parent(dir)
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// slug returns the field slug, or the part of the file's name behind a date.
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

// aliases are other names of fields that hold dates.
var aliases = map[string][]string{"lastmod": {"modified"}, "publishdate": {"pubdate", "published"}, "expirydate": {"unpublishdate"}}

// date returns a date of the page: that of the first source in the settings which has one,
// or of the usual sources. A date in the file's name comes with a slug.
func (p hugoPage) date(which string, usual ...string) (at time.Time, slug string, ok bool) {
	zone := location(textOf(p.setting("timeZone")), time.UTC)
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
