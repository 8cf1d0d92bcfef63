package seed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/tally"
)

// Values of [Rules.KeyFrom] besides the name of a field.
const (
	// FromPath takes the path of the file: posts/hello for posts/hello.md,
	// posts/hello/index.md and posts/hello/_index.md, and index, the key of the home page,
	// for the folder's index.md.
	FromPath = "path"
	// FromSlug takes the field slug, else the last segment of the path without the date
	// of a Jekyll post.
	FromSlug = "slug"
	// FromPermalink takes the path in the field permalink or url, else does as FromPath.
	FromPermalink = "permalink"
	// FromHugo, FromJekyll and FromAstro apply the rules of these site generators with the
	// settings of the site. hugo@0.111 names the version of Hugo; without one it is the
	// installed version, else the current one.
	FromHugo   = "hugo"
	FromJekyll = "jekyll"
	FromAstro  = "astro"
)

// Field is the field of a page that holds the seed of a metric.
type Field struct {
	Metric string
	Name   string // a dot leads into an object: params.likes
}

// ParseField parses metric=field, or the common name of both.
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

// ParseKeyFrom parses a value of [Rules.KeyFrom].
func ParseKeyFrom(text string) (string, error) {
	word, version, given := strings.Cut(text, "@")
	if given && (word == FromHugo && minorOf(version) == currentHugo || word == FromJekyll || word == FromAstro) {
		return "", fmt.Errorf("%q should be %s, or hugo with a version such as hugo@0.111", text, word)
	}
	return text, nil
}

// Rules determine the topics that the numbers in files belong to.
type Rules struct {
	Site   string  // of topics that are given by their key
	Fields []Field // one or more
	// KeyFrom is FromPath, FromSlug, FromPermalink, FromHugo, FromJekyll, FromAstro, or the
	// name of a field. Empty means FromPath.
	KeyFrom string
	// StripPrefix is removed from the beginning of keys if it matches whole segments. Then AddPrefix is
	// added.
	StripPrefix, AddPrefix string

	// project is the project around the files, which a [Folder] finds; may be nil.
	project *project
}

// Validate returns an error if the rules are incomplete.
func (r Rules) Validate() error {
	if !tally.ValidSite(r.Site) {
		return fmt.Errorf("%q is not the name of a site", r.Site)
	}
	if len(r.Fields) == 0 {
		return errors.New("no field is given")
	}
	seen := map[string]string{}
	for _, field := range r.Fields {
		if other, twice := seen[field.Metric]; twice {
			return fmt.Errorf("%s has the fields %s and %s and should have one", field.Metric, other, field.Name)
		}
		seen[field.Metric] = field.Name
	}
	return nil
}

// topic returns the topic of a metric and a key, with the prefixes of the rules.
func (r Rules) topic(metric, key string) (tally.Topic, error) {
	if strip := strings.Trim(r.StripPrefix, "/"); strip != "" {
		if rest, ok := strings.CutPrefix(key, strip); ok && (rest == "" || rest[0] == '/') {
			key = strings.TrimPrefix(rest, "/")
		}
	}
	if add := strings.Trim(r.AddPrefix, "/"); add != "" {
		if key == pagekey.Home {
			key = ""
		}
		key = strings.TrimSuffix(add+"/"+key, "/")
	}
	if key == "" {
		key = pagekey.Home
	}
	return tally.NewTopic(r.Site, metric, key)
}
