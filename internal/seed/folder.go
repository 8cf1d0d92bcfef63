package seed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/plaintext"
	"github.com/tallycast/tallycast/internal/tally"
)

// settleTime is the coarsest resolution of modification times (FAT, old NFS). Within that time after a
// modification a file may change again without a new modification time, so each scan reads it.
const settleTime = 2 * time.Second

// pageExtensions are the extensions of pages with frontmatter in Hugo, Jekyll, Eleventy, Astro,
// Quarto and Pandoc, in lower case.
var pageExtensions = []string{".md", ".markdown", ".mdown", ".mkdown", ".mkdn", ".mkd", ".mdx", ".mdoc", ".qmd", ".rmd",
	".html", ".htm", ".org", ".adoc", ".asciidoc", ".ad", ".rst", ".pandoc", ".pdc", ".njk", ".liquid"}

// tableExtensions are the extensions of tables and documents, which are read only if a path names the
// file.
var tableExtensions = []string{".csv", ".tsv", ".json"}

// hasExtension reports whether a path has one of the extensions, in any case.
func hasExtension(path string, extensions []string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(path)))
}

var errOther = errors.New("should be a page (.md, .html), a table (.csv, .tsv) or a document (.json); import an export with tallycast import")

// Folder reads the seeds of folders and files, and later those of changed files. It detects changes by
// modification times and sizes, which works in every file system and with any number of files. It is
// not safe for concurrent use.
type Folder struct {
	rules         Rules
	paths         []string
	projects      map[[2]string]*project // by the name of the generator and the path
	installedHugo func() int

	// Results of the last scan.
	files    map[string]*file // by path
	seeds    map[tally.Topic]Seed
	reported map[Problem]bool // problems and notes
}

// file is the state of a file at the last scan that read it.
type file struct {
	size     int64
	modified time.Time
	readAt   time.Time
	stamp    string // of the settings of the site generator
	fileResult
}

// NewFolder returns a reader of paths, each a folder or a file, by valid rules. From a folder
// it reads pages, except those below node_modules or a name that begins with a dot. It reads
// tables (.csv, .tsv) and documents (.json) only if a path names them.
func NewFolder(rules Rules, paths ...string) *Folder {
	return &Folder{rules: rules, paths: paths, projects: map[[2]string]*project{}, installedHugo: sync.OnceValue(installedHugo)}
}

// Result is the result of a scan.
type Result struct {
	Seeds     []Seed
	Problems  []Problem
	Notes     []Problem // about pages that are not seeded, such as drafts, and advice
	Files     int       // number of files
	FilesRead int       // number of those that were read

	skipped []string // files that were not read
}

// scan is a scan of a [Folder].
type scan struct {
	*Folder
	result Result
	order  []*file          // in the order of the scan; also paths that cannot be read
	known  map[string]*file // by path
}

// Scan reads the files that are new or changed since the last scan, and returns seeds and problems that
// are new or changed. It ignores deleted files. If ctx ends, it returns an empty result.
func (f *Folder) Scan(ctx context.Context) Result {
	s := scan{Folder: f, known: map[string]*file{}}
	for _, path := range f.paths {
		s.walk(ctx, path)
	}
	if ctx.Err() != nil {
		return Result{}
	}
	seeds, reported := map[tally.Topic]Seed{}, map[Problem]bool{}
	add := func(to *[]Problem, problem Problem) {
		if reported[problem] = true; !f.reported[problem] {
			*to = append(*to, problem)
		}
	}
	for _, each := range s.order {
		problems := slices.Clone(each.problems)
		for _, seed := range each.seeds {
			other, twice := seeds[seed.Topic]
			switch before, known := f.seeds[seed.Topic]; {
			case twice && other.Count != seed.Count:
				problems = append(problems, Problem{seed.File, seed.Line, fmt.Sprintf(
					"gives %s the seed %d, but %s:%d gives it %d, which is used", seed.Topic, seed.Count, other.File, other.Line, other.Count)})
			case twice:
			case !known || before.Count != seed.Count:
				s.result.Seeds = append(s.result.Seeds, seed)
			}
			if !twice {
				seeds[seed.Topic] = seed
			}
		}
		slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		for _, problem := range problems {
			add(&s.result.Problems, problem)
		}
		for _, note := range each.notes {
			add(&s.result.Notes, note)
		}
	}
	f.files, f.seeds, f.reported = s.known, seeds, reported
	s.result.Files = len(s.known)
	return s.result
}

// Seeds returns the seeds of the last scan, in any order.
func (f *Folder) Seeds() []Seed { return slices.Collect(maps.Values(f.seeds)) }

// walk reads the files at and below a path, sorted by name.
func (s *scan) walk(ctx context.Context, root string) {
	// A folder may be a symbolic link that changes with each release.
	top, err := filepath.EvalSymlinks(root)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(top)
	}
	var rules Rules
	if err == nil {
		rules, err = s.rulesFor(root)
	}
	if err == nil && !info.IsDir() && !hasExtension(top, pageExtensions) && !hasExtension(top, tableExtensions) {
		err = errOther
	}
	if err != nil {
		s.refuse(root, err)
		return
	}
	begin := len(s.order)
	if !info.IsDir() {
		s.readFile(rules, root, top, filepath.Base(root))
	} else {
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error { // fails only with ctx
			below, _ := filepath.Rel(top, path) // path begins with top
			shown := filepath.Join(root, below)
			hidden := err == nil && below != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules")
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				s.refuse(shown, err)
				return fs.SkipDir
			case hidden && entry.IsDir():
				return fs.SkipDir
			case hidden || entry.IsDir():
			case hasExtension(path, pageExtensions):
				s.readFile(rules, shown, path, filepath.ToSlash(below))
			case !slices.ContainsFunc(s.paths, func(path string) bool { return filepath.Clean(path) == shown }):
				s.result.skipped = append(s.result.skipped, shown)
			}
			return nil
		})
	}
	if rules.project != nil {
		s.order = append(s.order, &file{fileResult: fileResult{notes: rules.project.notesOn(root, rules, s.order[begin:])}})
	}
}

// refuse adds the problem of a path that cannot be read.
func (s *scan) refuse(path string, err error) {
	s.order = append(s.order, &file{fileResult: fileResult{problems: []Problem{{File: path, Reason: plaintext.FileError(err).Error()}}}})
}

// readFile reads a file if it is new or changed.
func (s *scan) readFile(rules Rules, shown, path, page string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		s.refuse(shown, err)
		return
	case !info.Mode().IsRegular(): // reading a pipe would block
		return
	case s.known[shown] != nil: // another path contains it
		return
	}
	stamp := ""
	if rules.project != nil {
		stamp = rules.project.stamp
	}
	read := s.files[shown]
	if !read.isCurrent(info, stamp) {
		read = &file{size: info.Size(), modified: info.ModTime(), readAt: time.Now(), stamp: stamp, fileResult: fileResult{file: shown}}
		if err := read.read(rules, path, page); err != nil {
			read.refuse(0, "%v", plaintext.FileError(err))
		}
		s.result.FilesRead++
	}
	s.known[shown] = read
	s.order = append(s.order, read)
}

// isCurrent reports whether the state of the file is current, so that it need not be read again.
func (f *file) isCurrent(info fs.FileInfo, stamp string) bool {
	return f != nil && f.stamp == stamp && f.size == info.Size() && f.modified.Equal(info.ModTime()) && f.readAt.Sub(f.modified) >= settleTime &&
		(f.due.IsZero() || time.Now().Before(f.due))
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
