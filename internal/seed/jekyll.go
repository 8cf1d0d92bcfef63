package seed

import (
	"cmp"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// jekyll derives keys by the rules of Jekyll 4.
type jekyll struct {
	settings object
	source   string // below the project; empty for the project itself
	zone     *time.Location
}

func openJekyll(_ string, s object) generator {
	return &jekyll{settings: s, source: cleanPath(s.text("source")), zone: location(s.text("timezone"), time.Local)}
}

func (j *jekyll) contains(name string) bool {
	return j.source == "" || name == j.source || strings.HasPrefix(name, j.source+"/")
}

// jekyllPage is a file that may become a page.
type jekyllPage struct {
	*jekyll
	collection string   // empty for a page
	path       string   // below the source, or below the folder of collections
	dir        string   // below the source, or below the collection's folder
	base, ext  string   // the file's name
	above      []string // folders above _posts
	fields
}

const collectionOfPosts = "posts"

// datedName matches the name of a post's file.
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
	if at := p.date(); p.collection == collectionOfPosts && at.After(time.Now()) && !p.settings.isTrue("future") {
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
	p := jekyllPage{jekyll: j, path: name, fields: field}
	if within := cleanPath(j.settings.text("collections_dir")); within != "" {
		if rest, ok := strings.CutPrefix(name, within+"/"); ok {
			p.path = rest
		} else if slices.Contains(strings.Split(name, "/"), "_posts") {
			return none("") // all posts are in that folder
		}
	}
	segments := strings.Split(p.path, "/")
	file := segments[len(segments)-1]
	p.ext = path.Ext(file)
	p.base = strings.TrimSuffix(file, p.ext)
	folders := segments[:len(segments)-1]
	for i, folder := range folders {
		switch {
		case folder == "_posts" && !datedName.MatchString(p.base):
			return none("has no date in its name, so it is not a post of Jekyll")
		case folder == "_drafts" && !j.settings.isTrue("show_drafts"):
			return none("is a draft")
		case folder == "_posts" || folder == "_drafts":
			p.collection, p.above = collectionOfPosts, folders[:i]
			p.dir = strings.Join(slices.Concat(folders[:i], folders[i+1:]), "/")
			return p, nil
		case i == 0 && strings.HasPrefix(folder, "_") && j.hasCollection(folder[1:]):
			if !j.settings.isTrue("collections", folder[1:], "output") {
				return none("is in the collection " + folder[1:] + ", which has no pages without output: true")
			}
			if j.isHidden(name) {
				return none("")
			}
			p.collection, p.dir = folder[1:], strings.Join(folders[1:], "/")
			return p, nil
		case j.isHidden(strings.Join(folders[:i+1], "/")):
			return none("")
		}
	}
	if j.isHidden(name) {
		return none("")
	}
	p.path, p.dir = name, parent(name) // collections_dir does not apply to pages
	return p, nil
}

// isHidden reports whether Jekyll ignores a file or folder because of its first character.
func (j *jekyll) isHidden(name string) bool {
	return strings.ContainsRune("._#~", rune(path.Base(name)[0])) && !j.isIncluded(name)
}

func (j *jekyll) hasCollection(name string) bool {
	if slices.Contains(j.settings.list("collections"), name) {
		return true // collections in a list have no settings and no pages
	}
	_, ok := j.settings.object("collections")[name]
	return ok
}

// excludes are the paths that Jekyll excludes by default.
var excludes = []string{"node_modules", "vendor/bundle/", "vendor/cache/", "vendor/gems/", "vendor/ruby/", "gemfiles"}

func (j *jekyll) isExcluded(name string) bool {
	destination := cmp.Or(cleanPath(j.settings.text("destination")), "_site")
	patterns := slices.Concat(j.settings.list("exclude"), excludes, []string{destination + "/"})
	return matchesAny(patterns, name) && !j.isIncluded(name)
}

func (j *jekyll) isIncluded(name string) bool {
	patterns := j.settings.list("include")
	return matchesAny(patterns, name) || matchesAny(patterns, path.Base(name))
}

// matchesAny reports whether a path begins with one of the patterns, or one of them matches the path or
// a folder around it.
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
			if matchesGlob(pattern, part) {
				return true
			}
		}
	}
	return false
}

// matchesGlob is Ruby's File.fnmatch without flags, in which * matches slashes too.
func matchesGlob(pattern, name string) bool {
	const slash = "\x01" // no name contains it
	hidden := strings.NewReplacer("**/", "*", "/", slash)
	ok, err := path.Match(hidden.Replace(strings.TrimSuffix(pattern, "/")), strings.ReplaceAll(name, "/", slash))
	return err == nil && ok
}

// value returns a field of the page, else its default in the settings.
func (p jekyllPage) value(name string) any {
	if p.has(name) {
		return p.fields.value(name)
	}
	return p.defaultOf(name)
}

func (p jekyllPage) text(name string) string { return textOf(p.value(name)) }

// defaultOf returns the most specific default of a field in the settings; nil if there is none.
func (p jekyllPage) defaultOf(name string) (value any) {
	kind := cmp.Or(p.collection, "pages")
	length, typed := -1, false
	defaults, _ := p.settings.at("defaults").([]any)
	for _, each := range defaults {
		set, _ := each.(object)
		given, ok := set.object("values")[name]
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
			value, length, typed = given.value, len(scope), of != ""
		}
	}
	return value
}

// isWithin reports whether the page is in a scope of the defaults.
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
