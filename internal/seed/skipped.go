package seed

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxSkippedNames bounds the files of each extension that [Result.Skipped] names.
const maxSkippedNames = 3

// Skipped lists the files of folders that were not read, with the reason; empty if all were
// read.
func (r Result) Skipped() string {
	if len(r.skipped) == 0 {
		return ""
	}
	byExtension := map[string][]string{}
	for _, name := range r.skipped {
		extension := strings.ToLower(filepath.Ext(name))
		byExtension[extension] = append(byExtension[extension], name)
	}
	var kinds []string
	for _, extension := range slices.Sorted(maps.Keys(byExtension)) {
		names := byExtension[extension]
		if extension == "" {
			extension = "without an extension"
		}
		count := len(names)
		if count > maxSkippedNames {
			names = append(names[:maxSkippedNames:maxSkippedNames], "…")
		}
		kinds = append(kinds, fmt.Sprintf("%d %s (%s)", count, extension, strings.Join(names, ", ")))
	}
	verb := "were"
	if len(r.skipped) == 1 {
		verb = "was"
	}
	return fmt.Sprintf("%s %s not read: from a folder only pages with frontmatter are read (%s); name tables and documents (.csv, .tsv, .json) themselves: %s",
		tally.Quantity(len(r.skipped), "file"), verb, strings.Join(slices.Sorted(slices.Values(pageExtensions)), ", "), strings.Join(kinds, "; "))
}
