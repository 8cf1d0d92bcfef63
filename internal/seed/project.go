package seed

import (
	"fmt"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// generator derives the keys of pages by the rules of a site generator.
type generator interface {
	// key returns the key of the page that is made from a file. name is the path of the file below
	// the project, with slashes. Errors: [*unpublished] if no page is made from the file.
	key(name string, field fields) (string, error)
	// contains reports whether pages are made from files at or below name.
	contains(name string) bool
}

// unpublished is the error of a file that no page is made from.
type unpublished struct {
	reason string    // empty if the owner expects no page of the file
	until  time.Time // when the page is published; zero if it is not
}

func (u *unpublished) Error() string { return u.reason }

// generatorKind is a site generator such as Hugo.
type generatorKind struct {
	name string
	// settings are the possible names of the file of settings. The first one that exists is read.
	settings []string
	folders  []string // of further files of settings
	// content is the name of the folder of content. A folder that has one is a project even without
	// settings. May be empty.
	content string
	// open returns the generator of the project in dir.
	open func(dir string, settings object) generator
}

// generatorKinds are the supported site generators by the values of [Rules.KeyFrom].
var generatorKinds = map[string]generatorKind{
	FromHugo: {
		name: "Hugo",
		settings: []string{
			"hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json", "config.toml", "config.yaml", "config.yml", "config.json",
		},
		folders: []string{"config/_default", "config/production"},
		content: "content",
		open:    openHugo,
	},
	FromJekyll: {
		name:     "Jekyll",
		settings: []string{"_config.yml", "_config.yaml", "_config.toml"},
		content:  "_posts",
		open:     openJekyll,
	},
	FromAstro: {
		name:     "Astro",
		settings: []string{"astro.config.mjs", "astro.config.js", "astro.config.ts", "astro.config.mts", "astro.config.cjs"},
		open:     func(string, object) generator { return astro{} },
	},
}

// files returns the files of settings in dir, in the order in which they are read; none if
// dir is not a project.
func (k generatorKind) files(dir string) (all []string) {
	for _, name := range k.settings {
		if isFile(filepath.Join(dir, name)) {
			all = append(all, filepath.Join(dir, name))
			break
		}
	}
	for _, folder := range k.folders {
		entries, _ := os.ReadDir(filepath.Join(dir, folder)) // the folder may be missing
		for _, entry := range entries {
			name := filepath.Join(dir, folder, entry.Name())
			if settingsParsers[filepath.Ext(name)] != nil && isFile(name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// project is a folder from which a site generator makes a site.
type project struct {
	generatorKind
	generator
	dir   string
	files []string // of its settings
	stamp string   // of files
	at    string   // the folder for which the project was found, below dir
}

// keyOf returns the key of a page below the folder for which the project was found.
func (p *project) keyOf(name string, field fields) (string, error) {
	return p.key(path.Join(p.at, name), field)
}

// findProject returns the project around path, which is a folder or a file. If there are no settings it
// assumes the defaults.
func findProject(k generatorKind, path string) (*project, error) {
	start := path
	if isFile(path) {
		start = filepath.Dir(path)
	}
	for dir := range parents(start) {
		files := k.files(dir)
		if len(files) == 0 {
			continue
		}
		settings, err := readSettings(files)
		if err != nil && (dir == start || dir == filepath.Dir(start)) {
			return nil, err
		}
		g := k.open(dir, settings)
		if err == nil && (dir == start || g.contains(below(dir, path))) {
			return &project{k, g, dir, files, stampOf(files), below(dir, start)}, nil
		}
	}
	for dir := range parents(start) {
		if filepath.Base(dir) == k.content {
			dir = filepath.Dir(dir)
			return &project{generatorKind: k, generator: k.open(dir, object{}), dir: dir, at: below(dir, start)}, nil
		}
	}
	return &project{generatorKind: k, generator: k.open(start, object{"contentDir": {value: "."}}), dir: start, at: "."}, nil
}

// parents returns a folder and the folders around it, the innermost first.
func parents(dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(dir) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
		}
	}
}

// below returns the path of a file relative to dir, with slashes.
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

// projectOf returns the project around a path. If the settings of the project changed, it reads them
// again.
func (f *Folder) projectOf(k generatorKind, root string) (*project, error) {
	at := [2]string{k.name, root}
	p := f.projects[at]
	if p == nil || len(p.files) == 0 || stampOf(k.files(p.dir)) != p.stamp {
		absolute, err := filepath.Abs(root)
		if err == nil {
			p, err = findProject(k, absolute)
		}
		if err != nil {
			return nil, err
		}
		f.projects[at] = p
	}
	return p, nil
}

// beginScan prepares the project for a scan. The version may be empty.
func (f *Folder) beginScan(p *project, version string) {
	h, ok := p.generator.(*hugo)
	if !ok {
		return
	}
	clear(h.bundles) // files may have changed
	if h.minor = minorOf(version); version == "" {
		h.minor = f.installedHugo()
	}
}

// rulesFor returns the rules for the files at and below a path, with the project around it. If the rules
// name no site generator, the project is used to report keys that differ from those of the pages.
func (f *Folder) rulesFor(root string) (Rules, error) {
	rules := f.rules
	word, version, _ := strings.Cut(rules.KeyFrom, "@")
	if k, known := generatorKinds[word]; known {
		p, err := f.projectOf(k, root)
		if err == nil {
			f.beginScan(p, version)
		}
		rules.project = p
		return rules, err
	}
	if !slices.Contains([]string{"", FromPath, FromSlug, FromPermalink}, word) {
		return rules, nil
	}
	for _, word := range []string{FromHugo, FromJekyll} { // programs choose the paths of a site of Astro
		if p, err := f.projectOf(generatorKinds[word], root); err == nil && len(p.files) > 0 {
			f.beginScan(p, "") // takes 0.1 s if there is a Hugo
			rules.project = p
			return rules, nil
		}
	}
	return rules, nil
}

// notesOn returns notes about the project around a path: that it has no settings, and how many keys
// differ from those of the pages that the generator makes.
func (p *project) notesOn(root string, rules Rules, files []*file) (notes []Problem) {
	if rules.derivesKeys() && len(p.files) == 0 {
		notes = append(notes, Problem{File: root, Reason: fmt.Sprintf("has no settings of %s around it, so its defaults are assumed", p.name)})
	}
	var differing []string
	compared := 0
	for _, each := range files {
		if each.pageKey != "" {
			compared++
		}
		if each.key != each.pageKey {
			differing = append(differing, each.key+" is "+each.pageKey)
		}
	}
	if n := len(differing); n > 0 {
		notes = append(notes, Problem{File: root, Reason: fmt.Sprintf("%d of %d keys differ from those of the pages that %s makes, such as: %s; derive keys by its rules (%s)",
			n, compared, p.name, strings.Join(differing[:min(n, 3)], ", "), strings.ToLower(p.name))})
	}
	return notes
}
