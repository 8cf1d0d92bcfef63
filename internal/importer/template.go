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

// Template makes topics of the names that another counter uses: site/metric/key, where
// {1} stands for what the first * of a [Pattern] matched, or for the whole name where
// there is no pattern. What stands for a page's path becomes its key as in the widgets.
// The zero Template takes names for topics.
type Template struct {
	site, metric, key string
}

// place is {1} and such in a template.
var placeholder = regexp.MustCompile(`\{([1-9])\}`)

// ParseTemplate reads a template for names in which there are so many parts.
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
			return Template{}, fmt.Errorf("%q: there is no %s, since the names have %d parts that differ", text, number[0], parts)
		}
	}
	if filled == key && parts > 0 {
		return Template{}, fmt.Errorf("%q should have a {1}: without one all that is counted would be one topic", text)
	}
	return t, nil
}

// topic returns the topic for a name of those parts.
func (t Template) topic(parts ...string) (tally.Topic, error) {
	if t == (Template{}) {
		topic, err := tally.ParseTopic(parts[0])
		if err != nil {
			return topic, fmt.Errorf("topic %.300q: %s", parts[0], tally.AsError(err).Message)
		}
		return topic, nil
	}
	var wrong error
	key := placeholder.ReplaceAllStringFunc(t.key, func(place string) string {
		part, err := pagekey.Of(parts[place[1]-'1'])
		if err != nil {
			wrong = err
		}
		return part
	})
	if wrong != nil {
		return tally.Topic{}, wrong
	}
	topic, err := tally.NewTopic(t.site, t.metric, key)
	if err != nil {
		return topic, fmt.Errorf("%.300q: %s", strings.Join(parts, " "), tally.AsError(err).Message)
	}
	return topic, nil
}

// Pattern matches names: * is any text, everything else itself.
type Pattern struct {
	text  string
	match *regexp.Regexp
	parts int
}

// ParsePattern reads a pattern of one or more *, or the name of a single key.
func ParsePattern(text string) (Pattern, error) {
	parts := strings.Count(text, "*")
	if text == "" {
		return Pattern{}, errors.New("it should be the name of a key, or a pattern with a * for what differs between keys")
	}
	if parts > 9 {
		return Pattern{}, fmt.Errorf("%q should have at most nine *", text)
	}
	// The last * takes as much as it can, those before it as little.
	expression := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, `(.*?)`)
	match, err := regexp.Compile(`(?s)\A` + expression + `\z`)
	if err != nil {
		return Pattern{}, fmt.Errorf("%q: %w", text, err)
	}
	return Pattern{text: text, match: match, parts: parts}, nil
}

// Parts is how many * there are.
func (p Pattern) Parts() int { return p.parts }

// Name returns the name of the only key that matches; it is empty if there is a *.
func (p Pattern) Name() string {
	if p.parts > 0 {
		return ""
	}
	return p.text
}

// Glob returns the pattern in the form that Redis understands, for keys with it.
func (p Pattern) Glob() string {
	var glob strings.Builder
	for _, c := range []byte(p.text) {
		if strings.IndexByte(`?[]\^`, c) >= 0 {
			glob.WriteByte('\\')
		}
		glob.WriteByte(c)
	}
	return glob.String()
}

// Match returns what each * matched.
func (p Pattern) Match(name string) ([]string, bool) {
	found := p.match.FindStringSubmatch(name)
	if found == nil {
		return nil, false
	}
	return found[1:], true
}
