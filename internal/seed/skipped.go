package seed

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// maxSkippedNames is how many files of one extension are named.
const maxSkippedNames = 3

// skipped are the files of one extension that were not read.
type skipped struct {
	count int
	names []string // the first of them
}

func (r *Result) skip(name string) {
	extension := strings.ToLower(filepath.Ext(name))
	if r.skipped == nil {
		r.skipped = map[string]*skipped{}
	}
	if r.skipped[extension] == nil {
		r.skipped[extension] = &skipped{}
	}
	each := r.skipped[extension]
	if each.count++; each.count <= maxSkippedNames {
		each.names = append(each.names, name)
	}
}

// Skipped lists the files of folders that were not read, and says why; it is empty if
// all were.
func (r Result) Skipped() string {
	total := 0
	var kinds []string
	for _, extension := range slices.Sorted(maps.Keys(r.skipped)) {
		each := r.skipped[extension]
		total += each.count
		if extension == "" {
			extension = "without an extension"
		}
		names := strings.Join(each.names, ", ")
		if each.count > len(each.names) {
			names += ", …"
		}
		kinds = append(kinds, fmt.Sprintf("%d %s (%s)", each.count, extension, names))
	}
	if total == 0 {
		return ""
	}
	files := fmt.Sprintf("%d files were", total)
	if total == 1 {
		files = "1 file was"
	}
	return fmt.Sprintf("%s not read, since in a folder only pages with frontmatter are (%s), and tables and documents (.csv, .tsv, .json) if they are named themselves: %s",
		files, strings.Join(slices.Sorted(maps.Keys(pageExtensions)), ", "), strings.Join(kinds, "; "))
}
