package seed

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// generator derives the keys of pages by the rules of a site generator.
type generator interface {
	// key returns the key of the page that is made of a file, given by its path below the
	// project with slashes. Errors: [*unpublished] if no page is made of the file.
	key(name string, field fields) (string, error)
	// contains reports whether pages are made of files at or below name.
	contains(name string) bool
}

// unpublished is the error of a file of which no page is made.
type unpublished struct {
	reason string    // empty if the owner expects no page
	until  time.Time // when the page is published; zero if it is not
}

func (u *unpublished) Error() string { return u.reason }

// generatorKind is a site generator such as Hugo.
type generatorKind struct {
	name string
	// files returns the files of settings in dir, in the order in which they are read; none
	// if dir is not a project.
	files func(dir string) []string
	// read returns the generator of the project in dir with these settings.
	read func(dir string, files []string) (generator, error)
	// assume returns the folder and the generator of the project around path if it has no
	// settings.
	assume func(path string) (dir string, g generator)
}

// generatorKinds are the supported site generators by the values of [Rules.KeyFrom].
var generatorKinds = map[string]generatorKind{
	FromHugo:   {"Hugo", hugoFiles, readHugo, assumeHugo},
	FromJekyll: {"Jekyll", jekyllFiles, readJekyll, assumeJekyll},
	FromAstro:  {"Astro", astroFiles, readAstro, assumeAstro},
}

// project is a folder from which a site generator makes a site.
type project struct {
	dir   string
	files []string // of its settings
	stamp string   // of files
	at    string   // the folder for which it was found, below dir
	generator
}

// keyOf returns the key of a page below the folder for which the project was found.
func (p *project) keyOf(name string, field fields) (string, error) {
	return p.key(path.Join(p.at, name), field)
}

// findProject returns the project around path, a folder or a file. If there are no settings
// it assumes the defaults.
func findProject(k generatorKind, file string) (*project, error) {
	start := file
	if info, err := os.Stat(file); err == nil && !info.IsDir() {
		start = filepath.Dir(file)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if files := k.files(dir); len(files) > 0 {
			p := &project{dir: dir, files: files, stamp: stampOf(files), at: below(dir, start)}
			g, err := k.read(dir, files)
			if err == nil && (dir == start || g.contains(below(dir, file))) {
				p.generator = g
				return p, nil
			}
			if err != nil && (dir == start || dir == filepath.Dir(start)) {
				return nil, err
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	dir, g := k.assume(start)
	return &project{dir: dir, at: below(dir, start), generator: g}, nil
}

// below returns the path of a file below dir, with slashes.
func below(dir, file string) string {
	name, err := filepath.Rel(dir, file)
	if err != nil {
		return "."
	}
	return filepath.ToSlash(name)
}

// stampOf returns a text that changes when one of the files changes.
func stampOf(files []string) string {
	var stamp strings.Builder
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}

// existing returns the paths of the files in dir that exist.
func existing(dir string, names ...string) (all []string) {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			all = append(all, path)
		}
	}
	return all
}

// rulesFor returns the rules for the files below root, with the generator of its project. The
// stamp changes with the settings of the project.
func (f *Folder) rulesFor(root string, result *Result) (rules Rules, stamp string, err error) {
	rules = f.rules
	absolute, err := filepath.Abs(root)
	if err != nil {
		return rules, "", err
	}
	word, version, _ := strings.Cut(rules.KeyFrom, "@")
	k, known := generatorKinds[word]
	if !known {
		f.startComparison(root, absolute)
		if c := f.comparisons[root]; c != nil {
			rules.compare = c.compare
		}
		return rules, "", nil
	}
	p := f.projects[root]
	if p == nil || len(p.files) == 0 || stampOf(k.files(p.dir)) != p.stamp {
		if p, err = findProject(k, absolute); err != nil {
			return rules, "", err
		}
		if f.projects[root] == nil && len(p.files) == 0 {
			result.Notes = append(result.Notes, Problem{File: root, Reason: fmt.Sprintf("has no settings of %s around it, so its defaults are assumed", k.name)})
		}
		f.projects[root] = p
	}
	if h, ok := p.generator.(*hugo); ok {
		clear(h.bundles) // files may have changed
		if h.minor = minorOf(version); version == "" {
			h.minor = f.installedHugo()
		}
	}
	rules.derive = p.keyOf
	return rules, p.stamp, nil
}

// comparison finds pages whose keys differ from those that the rules of their site generator
// would give, if these rules are not used.
type comparison struct {
	*project
	name, word string
	pages      map[string]string // by file: how its key differs; empty if it does not
	changed    bool              // since the last note
	lastNote   string
}

// startComparison begins a comparison of the keys below root if it belongs to a project and
// keys come from paths, slugs or permalinks.
func (f *Folder) startComparison(root, path string) {
	if _, started := f.comparisons[root]; started || !slices.Contains([]string{"", FromPath, FromSlug, FromPermalink}, f.rules.KeyFrom) {
		return
	}
	f.comparisons[root] = nil
	for _, word := range []string{FromHugo, FromJekyll} { // programs choose the paths of a site of Astro
		p, err := findProject(generatorKinds[word], path)
		if err != nil || len(p.files) == 0 {
			continue
		}
		if h, ok := p.generator.(*hugo); ok {
			h.minor = f.installedHugo()
		}
		f.comparisons[root] = &comparison{project: p, name: generatorKinds[word].name, word: word, pages: map[string]string{}}
	}
}

func (c *comparison) compare(key string, rec record) {
	c.changed = true
	real, err := c.keyOf(rec.path, rec.field)
	switch {
	case err != nil:
		c.pages[rec.file] = key + " is no page"
	case real != key:
		c.pages[rec.file] = key + " is " + real
	default:
		c.pages[rec.file] = ""
	}
}

// noteComparison adds a note with the number of keys that differ, if it changed.
func (f *Folder) noteComparison(root string, result *Result) {
	c := f.comparisons[root]
	if c == nil || !c.changed {
		return
	}
	c.changed = false
	var differing []string
	for _, file := range slices.Sorted(maps.Keys(c.pages)) {
		if c.pages[file] != "" {
			differing = append(differing, c.pages[file])
		}
	}
	n := len(differing)
	note := fmt.Sprintf("%d of %d keys differ from those of the pages that %s makes, such as: %s; derive keys by its rules (%s)",
		n, len(c.pages), c.name, strings.Join(differing[:min(n, 3)], ", "), c.word)
	if n > 0 && note != c.lastNote {
		c.lastNote = note
		result.Notes = append(result.Notes, Problem{File: root, Reason: note})
	}
}
