package seed

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// generator derives the keys of pages as a site generator derives their addresses.
type generator interface {
	// key returns the key of the page at name, a path below the project with slashes. Its
	// error is an [*unpublished] if the page has no address.
	key(name string, field fields) (string, error)
	// contains reports whether the generator makes pages of what is at or below name.
	contains(name string) bool
}

// unpublished is the error of a file that the site generator makes no page of.
type unpublished struct {
	reason string    // empty: nobody would expect a page
	until  time.Time // of a page that is published later; zero for others
}

func (u *unpublished) Error() string { return u.reason }

// generatorKind is a site generator.
type generatorKind struct {
	name string
	// files returns the settings of a project in dir, in the order in which they are
	// read; none if there is no project in dir.
	files func(dir string) []string
	// read returns the generator of the project in dir with these settings.
	read func(dir string, files []string) (generator, error)
	// assumed returns the folder of a project without settings that path belongs to, and
	// its generator.
	assumed func(path string) (dir string, g generator)
}

// generatorKinds are the generators whose rules are known, by the word of [Rules.KeyFrom].
var generatorKinds = map[string]generatorKind{
	FromHugo:   {"Hugo", hugoFiles, readHugo, assumeHugo},
	FromJekyll: {"Jekyll", jekyllFiles, readJekyll, assumeJekyll},
	FromAstro:  {"Astro", astroFiles, readAstro, assumeAstro},
}

// project is a site with a generator.
type project struct {
	dir   string
	files []string // of its settings
	stamp string   // of files
	generator
}

// findProject returns the project of that kind to which path belongs, a folder or a file,
// with a generator even if there are no settings.
func findProject(k generatorKind, path string) (*project, error) {
	start := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		start = filepath.Dir(path)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if files := k.files(dir); len(files) > 0 {
			p := &project{dir: dir, files: files, stamp: stampOf(files)}
			g, err := k.read(dir, files)
			if err == nil && (dir == start || g.contains(below(dir, path))) {
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
	dir, g := k.assumed(start)
	return &project{dir: dir, generator: g}, nil
}

// below returns the path of a file below dir, with slashes.
func below(dir, path string) string {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return "."
	}
	return filepath.ToSlash(name)
}

// stampOf returns what changes when one of the files does.
func stampOf(files []string) string {
	var stamp strings.Builder
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}

// existing returns those of the names that are files in dir.
func existing(dir string, names ...string) (all []string) {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			all = append(all, path)
		}
	}
	return all
}

// rulesFor returns the rules for what is below root, where a page's name begins, with the
// generator of its project. stamp changes with the project's settings.
func (f *Folder) rulesFor(root string, result *Result) (rules Rules, stamp string, err error) {
	rules = f.rules
	path, err := filepath.Abs(root)
	if err != nil {
		return rules, "", err
	}
	word, version, _ := strings.Cut(rules.KeyFrom, "@")
	k, known := generatorKinds[word]
	if !known {
		f.startComparison(root, path)
		if c := f.comparisons[root]; c != nil {
			rules.compare = c.compare
		}
		return rules, "", nil
	}
	p := f.projects[root]
	if p == nil || len(p.files) == 0 || stampOf(k.files(p.dir)) != p.stamp {
		if p, err = findProject(k, path); err != nil {
			return rules, "", err
		}
		if f.projects[root] == nil && len(p.files) == 0 {
			result.Notes = append(result.Notes, Problem{File: root, Reason: fmt.Sprintf("no settings of %s were found around it: its defaults are assumed", k.name)})
		}
		f.projects[root] = p
	}
	if h, ok := p.generator.(*hugo); ok {
		clear(h.bundles) // files may have come and gone
		if h.minor = minorOf(version); version == "" {
			h.minor = f.installedHugo()
		}
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	at := below(p.dir, path)
	rules.derive = func(name string, field fields) (string, error) { return p.key(joined(at, name), field) }
	return rules, p.stamp, nil
}

// comparison counts the pages whose keys are other than those that their site generator
// gives them, since its rules are not used.
type comparison struct {
	*project
	name, word string
	at         string            // below the project
	pages      map[string]string // by file: how its key differs; empty if it does not
	changed    bool              // since the last note
	said       string            // the last note
}

// startComparison prepares to compare the keys of what is below root, if it belongs to a
// site generator and keys come from paths, slugs or permalinks.
func (f *Folder) startComparison(root, path string) {
	if _, started := f.comparisons[root]; started || !slices.Contains([]string{"", FromPath, FromSlug, FromPermalink}, f.rules.KeyFrom) {
		return
	}
	f.comparisons[root] = nil
	for _, word := range []string{FromHugo, FromJekyll} { // a site of Astro chooses its paths itself
		p, err := findProject(generatorKinds[word], path)
		if err != nil || len(p.files) == 0 {
			continue
		}
		if h, ok := p.generator.(*hugo); ok {
			h.minor = f.installedHugo()
		}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			path = filepath.Dir(path)
		}
		f.comparisons[root] = &comparison{project: p, name: generatorKinds[word].name, word: word, at: below(p.dir, path), pages: map[string]string{}}
	}
}

func (c *comparison) compare(key string, rec record) {
	c.changed = true
	real, err := c.key(joined(c.at, rec.path), rec.field)
	switch {
	case err != nil:
		c.pages[rec.file] = key + " is no page"
	case real != key:
		c.pages[rec.file] = key + " is " + real
	default:
		c.pages[rec.file] = ""
	}
}

// compared notes how many keys differ, if that is other than before.
func (f *Folder) compared(root string, result *Result) {
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
	note := fmt.Sprintf("%d of %d keys are other than those of the pages that %s makes, such as: %s. Take %s as the source of keys for its rules",
		n, len(c.pages), c.name, strings.Join(differing[:min(n, 3)], ", "), c.word)
	if n > 0 && note != c.said {
		c.said = note
		result.Notes = append(result.Notes, Problem{File: root, Reason: note})
	}
}

// maxPattern bounds a pattern of addresses, and what replaces one of its tokens, in bytes.
// Keys have 256 at most; without a bound one pattern could repeat a title for gigabytes.
const maxPattern = 2048

var errLongPattern = fmt.Errorf("the pattern of its address has more than %d bytes", maxPattern)

// cut returns at most maxPattern bytes of a value: a key with more is refused.
func cut(value string) string { return value[:min(len(value), maxPattern)] }

// joined joins a folder and a path with slashes.
func joined(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	return dir + "/" + name
}

// asUnpublished returns the reason if err is that of a page without an address.
func asUnpublished(err error) (*unpublished, bool) { return errors.AsType[*unpublished](err) }
