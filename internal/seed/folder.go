package seed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// settleTime is the time after a modification during which a file may change again without a
// new modification time: the coarsest resolution of file systems (FAT, old NFS). During it
// each scan reads the file.
const settleTime = 2 * time.Second

// pageExtensions are the extensions of pages with frontmatter in Hugo, Jekyll, Eleventy, Astro,
// Quarto and Pandoc, in lower case.
var pageExtensions = []string{".md", ".markdown", ".mdown", ".mkdown", ".mkdn", ".mkd", ".mdx", ".mdoc", ".qmd", ".rmd",
	".html", ".htm", ".org", ".adoc", ".asciidoc", ".ad", ".rst", ".pandoc", ".pdc", ".njk", ".liquid"}

// tableExtensions are the extensions of tables and documents, which are read if a path names
// them.
var tableExtensions = []string{".csv", ".tsv", ".json"}

// hasExtension reports whether a path has one of the extensions, in any case.
func hasExtension(path string, extensions []string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(path)))
}

var errOther = errors.New("should be a page (.md, .html), a table (.csv, .tsv) or a document (.json); import an export with tallycast import")

// Folder reads the seeds of folders and files, and of files that change later. It compares
// modification times and sizes, which works in every file system and with any number of
// files. It is not safe for concurrent use.
type Folder struct {
	rules      Rules
	paths      []string
	files      map[string]*file
	claims     map[tally.Topic]string // the file that gives the topic its seed
	unreadable map[string]string      // reasons by paths that cannot be read
	// projects are the projects around paths.
	projects      map[string]*project
	comparisons   map[string]*comparison // of paths, if the rules name no site generator
	installedHugo func() int
}

// file is the state of a file at the last scan that read it.
type file struct {
	size     int64
	modified time.Time
	readAt   time.Time
	seeds    map[tally.Topic]Seed
	problems []Problem
	notes    []Problem
	stamp    string    // of the settings of the site generator
	due      time.Time // when the page is published; zero if that does not change
	seen     bool      // in the current scan
}

// NewFolder returns a reader of paths, each a folder or a file, by valid rules. From a folder
// it reads pages, except those below node_modules or a name that begins with a dot. It reads
// tables (.csv, .tsv) and documents (.json) only if a path names them.
func NewFolder(rules Rules, paths ...string) *Folder {
	return &Folder{
		rules: rules, paths: paths,
		files: map[string]*file{}, claims: map[tally.Topic]string{}, unreadable: map[string]string{},
		projects: map[string]*project{}, comparisons: map[string]*comparison{}, installedHugo: sync.OnceValue(installedHugo),
	}
}

// Result is the result of a scan.
type Result struct {
	Seeds     []Seed
	Problems  []Problem
	Notes     []Problem // on pages without seeds, such as drafts, and advice
	Files     int       // number of files
	FilesRead int       // number of those that were read

	skipped map[string]*skipped // by extension
}

// Scan reads the files that are new or changed since the last scan, and returns seeds and
// problems that are new or changed. It reports nothing on deleted files. It ends early with
// ctx.
func (f *Folder) Scan(ctx context.Context) Result {
	var result Result
	for _, each := range f.files {
		each.seen = false
	}
	for _, path := range f.paths {
		f.walk(ctx, path, &result)
	}
	if ctx.Err() != nil {
		return result
	}
	for path, each := range f.files {
		if !each.seen {
			f.release(each)
			delete(f.files, path)
		}
	}
	result.Files = len(f.files)
	return result
}

// walk reads the files at and below a path, sorted by name.
func (f *Folder) walk(ctx context.Context, root string, result *Result) {
	// A folder may be a link that is changed with each release.
	top, err := filepath.EvalSymlinks(root)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(top)
	}
	var rules Rules
	var stamp string
	if err == nil {
		rules, stamp, err = f.rulesFor(root, result)
	}
	if err == nil && !info.IsDir() && !hasExtension(top, pageExtensions) && !hasExtension(top, tableExtensions) {
		err = errOther
	}
	if !f.isReadable(root, err, result) {
		return
	}
	defer f.noteComparison(root, result)
	if !info.IsDir() {
		f.readFile(rules, stamp, root, top, filepath.Base(root), result)
		return
	}
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error { // fails only with ctx
		below, _ := filepath.Rel(top, path) // path begins with top
		shown := filepath.Join(root, below)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !f.isReadable(shown, err, result) {
			return fs.SkipDir
		}
		hidden := below != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules")
		switch {
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || entry.IsDir():
		case hasExtension(path, pageExtensions):
			f.readFile(rules, stamp, shown, path, filepath.ToSlash(below), result)
		case !slices.ContainsFunc(f.paths, func(path string) bool { return filepath.Clean(path) == shown }):
			result.skip(shown)
		}
		return nil
	})
}

// isReadable reports whether err is nil. It adds a problem unless the last scan had the same.
func (f *Folder) isReadable(path string, err error, result *Result) bool {
	if err == nil {
		delete(f.unreadable, path)
		return true
	}
	if reason := withoutPath(err).Error(); f.unreadable[path] != reason {
		f.unreadable[path] = reason
		result.Problems = append(result.Problems, Problem{File: path, Reason: reason})
	}
	return false
}

// withoutPath returns the reason of a file's error.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// readFile reads a file if it is new or changed.
func (f *Folder) readFile(rules Rules, stamp, shown, path, page string, result *Result) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return // reading a pipe would block
	}
	if !f.isReadable(shown, err, result) {
		return
	}
	before := f.files[shown]
	if before != nil {
		before.seen = true
		isDue := !before.due.IsZero() && time.Now().After(before.due)
		if !isDue && before.stamp == stamp && before.size == info.Size() && before.modified.Equal(info.ModTime()) && before.readAt.Sub(before.modified) >= settleTime {
			return
		}
	}
	now := &file{size: info.Size(), modified: info.ModTime(), readAt: time.Now(), stamp: stamp, seen: true}
	read := fileResult{file: shown}
	if err := read.read(rules, path, page); err != nil {
		read.refuse(0, "%v", withoutPath(err))
	}
	f.release(before)
	f.claim(now, read)
	f.files[shown] = now
	result.FilesRead++
	if before == nil {
		before = &file{}
	}
	for _, seed := range read.seeds {
		was, known := before.seeds[seed.Topic]
		if now.seeds[seed.Topic] == seed && (!known || was.Count != seed.Count) {
			result.Seeds = append(result.Seeds, seed)
		}
	}
	for _, problem := range now.problems {
		if !slices.Contains(before.problems, problem) {
			result.Problems = append(result.Problems, problem)
		}
	}
	for _, note := range now.notes {
		if !slices.Contains(before.notes, note) {
			result.Notes = append(result.Notes, note)
		}
	}
}

// read reads the file at path.
func (f *fileResult) read(r Rules, path, page string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv", ".tsv":
		return f.table(r, in)
	case ".json":
		return f.document(r, in)
	}
	return f.frontmatter(r, page, in)
}

// claim records the seeds and problems of a file. If several places give a topic different
// seeds, the first one holds as long as its file does not change.
func (f *Folder) claim(now *file, read fileResult) {
	now.seeds, now.problems, now.notes, now.due = map[tally.Topic]Seed{}, read.problems, read.notes, read.due
	for _, seed := range read.seeds {
		other, twice := now.seeds[seed.Topic]
		if owner, owned := f.claims[seed.Topic]; owned && !twice {
			other, twice = f.files[owner].seeds[seed.Topic], true
		}
		switch {
		case !twice:
			now.seeds[seed.Topic] = seed
			f.claims[seed.Topic] = seed.File
		case other.Count != seed.Count:
			now.problems = append(now.problems, Problem{seed.File, seed.Line, fmt.Sprintf(
				"gives %s the seed %d, but %s:%d gives it %d, which holds", seed.Topic, seed.Count, other.File, other.Line, other.Count)})
		}
	}
	slices.SortStableFunc(now.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}

// release removes the claims of a file.
func (f *Folder) release(was *file) {
	if was == nil {
		return
	}
	for topic := range was.seeds {
		delete(f.claims, topic)
	}
}
