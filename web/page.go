package web

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"
)

//go:embed dist/article.html
var article string

//go:embed dist/listing.html
var listing string

//go:embed dist/gallery.html
var gallery string

// Page is one page of the demo.
type Page struct {
	Path   string   // where it is served, below the base path: "/", "/demo/" or "/gallery"
	Topics []string // whose counts it shows

	parts []string // text and placeholders in turn
}

var pages = sync.OnceValue(func() []Page {
	return []Page{newPage("/", article), newPage("/demo/", listing), newPage("/gallery", gallery)}
})

// Pages returns the pages of the demo. Their topics must not be changed.
func Pages() []Page { return slices.Clone(pages()) }

func newPage(path, text string) Page {
	p := Page{Path: path, parts: strings.Split(text, "~")}
	for i := 1; i < len(p.parts); i += 2 {
		kind, topic, _ := strings.Cut(p.parts[i], " ")
		if kind == "count" && !slices.Contains(p.Topics, topic) {
			p.Topics = append(p.Topics, topic)
		}
	}
	return p
}

// Render writes the page as HTML. The base path is empty or begins with a slash
// and does not end in one. counts has the numbers of p.Topics; a missing one is 0.
// If Render fails, it has written nothing.
func (p Page) Render(w io.Writer, basePath string, counts map[string]int64) error {
	var page strings.Builder
	for i, part := range p.parts {
		if i%2 == 0 {
			page.WriteString(part)
			continue
		}
		value, err := p.fill(part, basePath, counts)
		if err != nil {
			return fmt.Errorf("render the demo's %s: %w", p.Path, err)
		}
		page.WriteString(html.EscapeString(value))
	}
	_, err := io.WriteString(w, page.String())
	return err
}

// fill returns the value of a placeholder, not escaped. Package bundle defines the
// placeholders.
func (p Page) fill(placeholder, basePath string, counts map[string]int64) (string, error) {
	switch kind, topic, _ := strings.Cut(placeholder, " "); kind {
	case "base":
		return basePath, nil
	case "path":
		return basePath + p.Path, nil
	case "count":
		return strconv.FormatInt(counts[topic], 10), nil
	case "grouped":
		return humanize.Comma(counts[topic]), nil
	case "sum":
		var sum int64
		for _, each := range p.Topics {
			if strings.HasPrefix(each, topic) {
				sum += counts[each]
			}
		}
		return humanize.Comma(sum), nil
	}
	return "", fmt.Errorf("unknown placeholder ~%s~", placeholder)
}
