package importer

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/pagekey"
	"github.com/tallycast/tallycast/internal/tally"
)

// Template makes topics from the names of another counter. It is site/metric/key, in which {1} is
// replaced by the part of the name that the first * of a pattern matched, or by the whole name if there
// is no pattern. [pagekey.Of] converts the parts. The zero Template takes names as topics.
type Template struct {
	site, metric, key string
}

// placeholder matches {1} to {9} in a template.
var placeholder = regexp.MustCompile(`\{([1-9])\}`)

// ParseTemplate parses a template for names of this number of parts.
func ParseTemplate(text string, parts int) (Template, error) {
	site, rest, _ := strings.Cut(text, "/")
	metric, key, ok := strings.Cut(rest, "/")
	if !ok || key == "" {
		return Template{}, fmt.Errorf("%q should be site/metric/key, such as blog/likes/{1}", text)
	}
	t := Template{site, metric, key}
	filled := placeholder.ReplaceAllString(key, "x")
	if _, err := tally.NewTopic(site, metric, filled); err != nil {
		return Template{}, fmt.Errorf("%q: %s", text, tally.AsError(err).Message)
	}
	for _, number := range placeholder.FindAllStringSubmatch(key, -1) {
		if n, _ := strconv.Atoi(number[1]); n > parts {
			return Template{}, fmt.Errorf("%q: %s is invalid, since the pattern has %d *", text, number[0], parts)
		}
	}
	if filled == key && parts > 0 {
		return Template{}, fmt.Errorf("%q should have a {1}; without one all counts would become one topic", text)
	}
	return t, nil
}

// topic returns the topic of a name with these parts.
func (t Template) topic(parts ...string) (tally.Topic, error) {
	if t == (Template{}) {
		topic, err := tally.ParseTopic(parts[0])
		if err != nil {
			return topic, fmt.Errorf("topic %.300q: %s", parts[0], tally.AsError(err).Message)
		}
		return topic, nil
	}
	var invalid error
	key := placeholder.ReplaceAllStringFunc(t.key, func(place string) string {
		part, err := pagekey.Of(parts[place[1]-'1'])
		if err != nil {
			invalid = err
		}
		return part
	})
	if invalid != nil {
		return tally.Topic{}, invalid
	}
	topic, err := tally.NewTopic(t.site, t.metric, key)
	if err != nil {
		return topic, fmt.Errorf("%.300q: %s", strings.Join(parts, " "), tally.AsError(err).Message)
	}
	return topic, nil
}

// pattern matches names. A * matches any text.
type pattern struct {
	text       string
	expression *regexp.Regexp
}

// parsePattern parses a pattern with up to nine *, or the name of one key.
func parsePattern(text string) (pattern, error) {
	if text == "" {
		return pattern{}, errors.New("the pattern is missing; it should be the name of a key, or have a * for the part that differs between keys")
	}
	if strings.Count(text, "*") > 9 {
		return pattern{}, fmt.Errorf("%q should have at most nine *", text)
	}
	// Each * but the last matches as little as possible.
	expression := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, `(.*?)`)
	match, err := regexp.Compile(`(?s)\A` + expression + `\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("%q: %w", text, err)
	}
	return pattern{text, match}, nil
}

// stars returns the number of *.
func (p pattern) stars() int { return p.expression.NumSubexp() }

// match reports whether the pattern matches name, and returns the part that each * matched.
func (p pattern) match(name string) ([]string, bool) {
	found := p.expression.FindStringSubmatch(name)
	if found == nil {
		return nil, false
	}
	return found[1:], true
}
