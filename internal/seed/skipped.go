package seed

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// maxSkippedNames bounds the files of an extension that are named.
const maxSkippedNames = 3

// skipped are the files of an extension that were not read.
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

// Skipped lists the files of folders that were not read, with the reason; empty if all were
// read.
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
	return fmt.Sprintf("%s not read: from a folder only pages with frontmatter are read (%s); name tables and documents (.csv, .tsv, .json) themselves: %s",
		files, strings.Join(slices.Sorted(slices.Values(pageExtensions)), ", "), strings.Join(kinds, "; "))
}
