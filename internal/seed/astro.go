package seed

import (
	"path"
	"strings"
	"unicode"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// astro derives keys by the conventions of Astro: a file in src/pages becomes the page at its
// path, an entry of a collection in src/content the page at the collection's name and the
// entry's id. Its settings are a program and are not read.
type astro struct{}

func (astro) contains(string) bool { return true }

func (astro) key(name string, field fields) (string, error) {
	if rest, ok := strings.CutPrefix(name, "src/pages/"); ok {
		for segment := range strings.SplitSeq(rest, "/") {
			if strings.HasPrefix(segment, "_") {
				return "", &unpublished{} // Astro ignores it
			}
		}
		return pagekey.OfPath("/" + escapeValue(keyOfPath(rest)))
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "src/"), "content/")
	if slug := field.text("slug"); slug != "" {
		collection, _, _ := strings.Cut(name, "/")
		return pagekey.OfPath(joinPath(collection, escapeValue(slug)))
	}
	segments := strings.Split(strings.TrimSuffix(name, path.Ext(name)), "/")
	for i, segment := range segments {
		segments[i] = githubSlug(segment)
	}
	if last := len(segments) - 1; last > 1 && segments[last] == "index" {
		segments = segments[:last]
	}
	return pagekey.OfPath("/" + strings.Join(segments, "/"))
}

// githubSlug returns the slug that GitHub makes of a heading, and Astro of a file name: in lower case,
// without punctuation, with a hyphen for each space.
func githubSlug(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', unicode.IsLetter(r), unicode.IsMark(r), unicode.Is(unicode.Nd, r), unicode.Is(unicode.Nl, r), unicode.Is(unicode.Pc, r), unicode.Is(unicode.Other_Alphabetic, r):
			return r
		}
		return -1
	}, strings.ToLower(text))
}
