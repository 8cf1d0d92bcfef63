package seed

import (
	"cmp"
	"context"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hugoExtensions are the extensions of files that Hugo makes pages from.
var hugoExtensions = []string{".md", ".markdown", ".mdown", ".html", ".htm", ".org", ".adoc", ".asciidoc", ".ad", ".rst", ".rest", ".pandoc", ".pdc"}

// hugo derives keys by the rules of Hugo, which depend on its version. They were compared with the pages
// of Hugo 0.111, 0.131, 0.147 and 0.152.
type hugo struct {
	minor           int    // of the version: 152 for 0.152.2
	dir             string // of the project
	settings        object
	mounts          []mount
	languages       map[string]bool // by name in lower case; true if disabled
	defaultLanguage string
	multihost       bool // each language has its own host
	// bundles caches which folders have index and _index pages, until the next scan.
	bundles map[string]map[string]bool
}

// mount is a folder of content.
type mount struct {
	source   string // below the project
	target   string // below the content
	language string // empty if file names contain the language
}

const (
	// currentHugo is the minor version that means the newest one.
	currentHugo = 9999
	// The versions from noUglySections to the one before uglySections ignore a table uglyURLs, which names
	// sections. Older and newer versions apply it to these sections.
	noUglySections = 112
	uglySections   = 136
	// newPaths is the first version that normalises file names and applies headless to all pages.
	newPaths = 123
	// newURLs is the first version that expands tokens in the field url.
	newURLs = 131
	// exactListURLs is the first version that leaves the field url of lists as it is. Older versions convert
	// it to lower case and remove punctuation. So does 0.136.0; 0.136.2 does not.
	exactListURLs = 136
	// indexLists is the first version that makes lists index.html, such as posts/index.html, in sites with
	// ugly URLs. Older versions make posts.html.
	indexLists = 148
	// versionTimeout is how long Hugo may take to print its version. It takes 0.1 s, and much longer
	// on a busy machine. With a wrong version seeds would get keys that no page has.
	versionTimeout = 30 * time.Second
)

// hugoVersion matches a version in the output of hugo version, and as people write it.
var hugoVersion = regexp.MustCompile(`(?:^|hugo )v?0\.(\d{1,4})(?:\.|\b)`)

// installedHugo returns the minor version of the installed hugo, since it probably builds the site;
// [currentHugo] if none is installed.
func installedHugo() int {
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "hugo", "version").Output()
	if err != nil {
		return currentHugo
	}
	return minorOf(string(out))
}

// minorOf returns the minor version in text; [currentHugo] without one.
func minorOf(text string) int {
	if found := hugoVersion.FindStringSubmatch(text); found != nil {
		if minor, err := strconv.Atoi(found[1]); err == nil {
			return minor
		}
	}
	return currentHugo
}

func openHugo(dir string, s object) generator {
	h := &hugo{
		dir: dir, settings: s, languages: map[string]bool{}, bundles: map[string]map[string]bool{},
		defaultLanguage: strings.ToLower(cmp.Or(s.text("defaultContentLanguage"), "en")),
	}
	h.readLanguages()
	h.readMounts()
	return h
}

func (h *hugo) readLanguages() {
	s := h.settings
	disabled := s.list("disableLanguages")
	hosts := 0
	for name := range s.object("languages") {
		language := strings.ToLower(name)
		h.languages[language] = s.isTrue("languages", name, "disabled") ||
			slices.ContainsFunc(disabled, func(each string) bool { return strings.EqualFold(each, name) })
		if !h.languages[language] && s.text("languages", name, "baseURL") != "" {
			hosts++
		}
	}
	h.multihost = hosts > 1
}

func (h *hugo) readMounts() {
	s := h.settings
	for _, name := range slices.Sorted(maps.Keys(h.languages)) {
		if folder := s.text("languages", name, "contentDir"); folder != "" {
			h.mounts = append(h.mounts, mount{source: cleanPath(folder), language: name})
		}
	}
	mounts, _ := s.at("module", "mounts").([]any)
	hasContent := false
	for _, each := range mounts {
		table, _ := each.(object)
		target := cleanPath(table.text("target"))
		if target != "content" && !strings.HasPrefix(target, "content/") {
			continue
		}
		hasContent = true
		h.mounts = append(h.mounts, mount{
			source: cleanPath(table.text("source")), language: strings.ToLower(table.text("lang")),
			target: strings.Trim(strings.TrimPrefix(target, "content"), "/"),
		})
	}
	if !hasContent {
		h.mounts = append(h.mounts, mount{source: cleanPath(cmp.Or(s.text("contentDir"), "content"))})
	}
	// The longest first, since content/fr may be in content.
	slices.SortStableFunc(h.mounts, func(a, b mount) int { return len(b.source) - len(a.source) })
}

func (h *hugo) contains(name string) bool {
	return slices.ContainsFunc(h.mounts, func(m mount) bool {
		return m.source == "" || name == m.source || strings.HasPrefix(name, m.source+"/") || strings.HasPrefix(m.source, name+"/")
	})
}
