package seed

import (
	"cmp"
	"fmt"
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
	fields
}

func (h *hugo) key(name string, field fields) (string, error) {
	p, ok := h.page(name, field)
	if !ok {
		return "", &unpublished{} // a file of a theme, or documentation
	}
	if err := p.checkPublished(); err != nil {
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
		p := hugoPage{hugo: h, folder: path.Dir(name), dir: strings.Trim(dir, "/"), file: file, fields: field}
		var language string
		p.base, language = h.splitName(file)
		p.language = cmp.Or(language, m.language, h.defaultLanguage)
		p.dir = p.normalized(p.dir)
		return p, true
	}
	return hugoPage{}, false
}

// splitName returns the name of a file without its language and extension, and the language;
// empty if the name has none.
func (h *hugo) splitName(file string) (base, language string) {
	base = strings.TrimSuffix(file, path.Ext(file))
	if at := strings.LastIndexByte(base, '.'); at >= 0 {
		language = strings.ToLower(base[at+1:])
		if _, known := h.languages[language]; known {
			return base[:at], language
		}
	}
	return base, ""
}

// normalized returns the path of a file in the form to which new versions of Hugo normalise it.
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

// checkPublished returns an [*unpublished] error if Hugo makes no page of the file.
func (p hugoPage) checkPublished() error {
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
	case p.has("draft"):
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
		if render := p.text(name); p.has(name) && render != "always" && render != "true" && render != "" {
			return &unpublished{reason: "is not rendered (" + name + ": " + render + ")"}
		}
	}
	now := time.Now()
	if at, _, ok := p.date("publishdate"); ok && at.After(now) && !p.settings.isTrue("buildFuture") {
		return &unpublished{reason: "is published at " + at.Format(time.RFC3339), until: at}
	}
	if at, _, ok := p.date("expirydate"); ok && at.Before(now) && !p.settings.isTrue("buildExpired") {
		return &unpublished{reason: "expired at " + at.Format(time.RFC3339)}
	}
	return nil
}

// kind returns the kind of the page: page, section, taxonomy or term. The home page counts as a section.
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

// bundle returns the folder of the leaf bundle that has the page as a resource; empty if there is none.
func (p hugoPage) bundle() string {
	folder, dir := p.container()
	for ; ; folder, dir = path.Dir(folder), parent(dir) {
		if p.pagesIn(folder)["index"] {
			return dir + "/"
		}
		if dir == "" {
			return ""
		}
	}
}

// container returns the folder of the page, or for a bundle the folder around it, as a path below the
// project and as one below the content.
func (p hugoPage) container() (folder, dir string) {
	if p.base == "index" {
		return path.Dir(p.folder), parent(p.dir)
	}
	return p.folder, p.dir
}

// pagesIn returns which of the pages index and _index a folder below the project has.
func (p hugoPage) pagesIn(folder string) map[string]bool {
	if known, ok := p.bundles[folder]; ok {
		return known
	}
	found := map[string]bool{}
	entries, _ := os.ReadDir(p.dirOf(folder)) // a folder that cannot be read has none
	for _, entry := range entries {
		base, _ := p.splitName(entry.Name())
		if (base == "index" || base == "_index") && slices.Contains(hugoExtensions, path.Ext(entry.Name())) {
			found[base] = true
		}
	}
	p.bundles[folder] = found
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
	_, dir := p.container()
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// slug returns the field slug, or the part of the file's name behind a date.
func (p hugoPage) slug() string {
	if p.has("slug") {
		return strings.Trim(p.text("slug"), "-")
	}
	for _, which := range []string{"date", "publishdate"} {
		if _, slug, ok := p.date(which); ok && slug != "" {
			return slug
		}
	}
	return ""
}

// aliases are other names of fields that hold dates.
var aliases = map[string][]string{"lastmod": {"modified"}, "publishdate": {"pubdate", "published"}, "expirydate": {"unpublishdate"}}

// usualSources are the fields for a date if the settings name none.
var usualSources = map[string][]string{"date": {"date", "publishdate", "lastmod"}, "publishdate": {"publishdate", "date"}, "expirydate": {"expirydate"}}

// date returns a date of the page, from the first of the sources in the settings, or of the usual
// sources, that has one. If it is in the file's name, date also returns the rest of the name as slug.
func (p hugoPage) date(which string) (at time.Time, slug string, ok bool) {
	zone := location(textOf(p.setting("timeZone")), time.UTC)
	sources := listOf(p.setting("frontmatter", which))
	if len(sources) == 0 {
		sources = []string{":default"}
	}
	if i := slices.Index(sources, ":default"); i >= 0 {
		sources = slices.Concat(sources[:i], usualSources[which], sources[i+1:])
	}
	for _, source := range sources {
		source = strings.ToLower(source)
		if name := p.fileName(); source == ":filename" && len(name) >= 10 {
			if at, ok := dateOf(name[:10], zone); ok {
				return at, strings.Trim(name[10:], " -_"), true
			}
		}
		for _, name := range append([]string{source}, aliases[source]...) {
			if at, ok := dateOf(p.value(name), zone); ok {
				return at, "", true
			}
		}
	}
	return time.Time{}, "", false
}
