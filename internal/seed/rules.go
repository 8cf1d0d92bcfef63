package seed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Where the key of a topic comes from, beside the name of a field.
const (
	// FromPath is the page's file: posts/hello.md, posts/hello/index.md and
	// posts/hello/_index.md are posts/hello, and the index.md of the folder itself is
	// index, as the widgets call the home page.
	FromPath = "path"
	// FromSlug is the field slug, else the last segment of the path without the date
	// that Jekyll writes before it.
	FromSlug = "slug"
	// FromPermalink is the path of the field permalink, else of url, else FromPath.
	FromPermalink = "permalink"
	// FromHugo, FromJekyll and FromAstro apply the rules by which these site generators make the
	// addresses of pages, with the settings of the site. hugo@0.111 names the version of
	// Hugo; otherwise it is the installed one, else the current one.
	FromHugo   = "hugo"
	FromJekyll = "jekyll"
	FromAstro  = "astro"
)

// Field says which field of a page holds the seed of which metric.
type Field struct {
	Metric string
	Name   string // a dot leads into a table: params.likes
}

// ParseField reads metric=field, or one name that both share.
func ParseField(text string) (Field, error) {
	metric, name, ok := strings.Cut(text, "=")
	if !ok {
		name = metric
	}
	if !tally.ValidMetric(metric) || name == "" {
		return Field{}, fmt.Errorf("%q should be metric=field, such as likes=likes or claps=params.applause", text)
	}
	return Field{metric, name}, nil
}

// ParseKeyFrom reads a value of [Rules.KeyFrom].
func ParseKeyFrom(text string) (string, error) {
	word, version, given := strings.Cut(text, "@")
	if given && (word == FromHugo && minorOf(version) == currentHugo || word == FromJekyll || word == FromAstro) {
		return "", fmt.Errorf("%q should be %s, or hugo with a version such as hugo@0.111", text, word)
	}
	return text, nil
}

// Rules say which topic a number belongs to.
type Rules struct {
	Site   string  // of topics that are named by their key alone
	Fields []Field // one or more
	// KeyFrom is FromPath, FromSlug, FromPermalink, FromHugo, FromJekyll, FromAstro, or the
	// name of a field. Empty is FromPath.
	KeyFrom string
	// StripPrefix is taken from the beginning of a key, whole segments of it, where it
	// is there; AddPrefix then put before.
	StripPrefix, AddPrefix string

	// derive returns the key of the page at a path, by the rules of a site generator. A
	// [Folder] sets it.
	derive func(name string, field fields) (string, error)
	// compare takes notice of the key that another rule gave to a page.
	compare func(key string, rec record)
}

// Validate tells what is wrong with the rules.
func (r Rules) Validate() error {
	if !tally.ValidSite(r.Site) {
		return fmt.Errorf("%q is no name of a site", r.Site)
	}
	if len(r.Fields) == 0 {
		return errors.New("no field is named")
	}
	seen := map[string]string{}
	for _, field := range r.Fields {
		if other, twice := seen[field.Metric]; twice {
			return fmt.Errorf("%s is to come from the field %s and from %s; it should be one", field.Metric, other, field.Name)
		}
		seen[field.Metric] = field.Name
	}
	return nil
}

// topic returns the topic of a metric and of a key as it was found.
func (r Rules) topic(metric, key string) (tally.Topic, error) {
	if strip := strings.Trim(r.StripPrefix, "/"); strip != "" {
		if rest, ok := strings.CutPrefix(key, strip); ok && (rest == "" || rest[0] == '/') {
			key = strings.TrimPrefix(rest, "/")
		}
	}
	if add := strings.Trim(r.AddPrefix, "/"); add != "" {
		if key == home {
			key = ""
		}
		key = strings.TrimSuffix(add+"/"+key, "/")
	}
	if key == "" {
		key = home
	}
	return tally.NewTopic(r.Site, metric, key)
}
