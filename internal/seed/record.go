package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/tally"
)

// record is one thing with fields: a page's frontmatter, a line of a table, an
// object of a document.
type record struct {
	file  string // as it is shown
	path  string // of the page below its folder, with slashes; empty where it is no page
	line  int    // where it begins
	field func(name string) (value any, line int, ok bool)
}

// Seed is a number that a topic's count begins with, and where it stands.
type Seed struct {
	Topic tally.Topic
	Count int64
	File  string
	Line  int
}

// Problem is what could not be read.
type Problem struct {
	File   string
	Line   int // 0: the file as a whole
	Reason string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Reason
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ": " + p.Reason
}

// fileResult gathers what a file gives.
type fileResult struct {
	file     string
	seeds    []Seed
	problems []Problem
	notes    []Problem
	due      time.Time // when the page is published
}

// refuseKey adds why a page has no key. A page that is not published is none by intent.
func (f *fileResult) refuseKey(line int, err error) {
	hidden, ok := asUnpublished(err)
	switch {
	case !ok:
		f.refuse(line, "%v", err)
	case hidden.reason != "":
		f.notes = append(f.notes, Problem{f.file, line, "is not seeded: it " + hidden.reason})
		f.due = hidden.until
	}
}

func (f *fileResult) refuse(line int, format string, args ...any) {
	f.problems = append(f.problems, Problem{f.file, line, fmt.Sprintf(format, args...)})
}

// addRecord adds what a record gives by the rules.
func (f *fileResult) addRecord(r Rules, rec record) {
	if name, line, ok := rec.field("topic"); ok && rec.path == "" {
		f.addTopicRecord(rec, textOf(name), line)
		return
	}
	type given struct {
		field Field
		count int64
		line  int
	}
	var all []given
	for _, field := range r.Fields {
		value, line, ok := rec.field(field.Name)
		if !ok {
			continue
		}
		count, some, err := countOf(value)
		switch {
		case err != nil:
			f.refuse(line, "%s: %v", field.Name, err)
		case some:
			all = append(all, given{field, count, line})
		}
	}
	if len(all) == 0 {
		return // a page without a number needs no key
	}
	key, line, err := r.key(rec)
	if err != nil {
		f.refuseKey(line, err)
		return
	}
	for _, each := range all {
		topic, err := r.topic(each.field.Metric, key)
		if err != nil {
			f.refuse(line, "%q: %s", key, tally.AsError(err).Message)
			return // it would be the same for each metric
		}
		f.seeds = append(f.seeds, Seed{topic, each.count, rec.file, each.line})
	}
}

// addTopicRecord adds a record that names its topic: it has a count, or a seed, as our
// own answers and exports have.
func (f *fileResult) addTopicRecord(rec record, name string, line int) {
	topic, err := tally.ParseTopic(name)
	if err != nil {
		f.refuse(line, "%q: %s", name, tally.AsError(err).Message)
		return
	}
	for _, field := range []string{"seed", "count"} {
		value, line, ok := rec.field(field)
		if !ok {
			continue
		}
		count, some, err := countOf(value)
		switch {
		case err != nil:
			f.refuse(line, "%s: %v", field, err)
		case some:
			f.seeds = append(f.seeds, Seed{topic, count, rec.file, line})
		default:
			continue
		}
		return
	}
}

// textOf returns a value that names something, as text.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// countOf reads a value that should be a seed. Some is false if it is empty.
func countOf(value any) (count int64, some bool, err error) {
	switch v := value.(type) {
	case nil:
		return 0, false, nil
	case json.Number:
		count, err = numeral.ParseJSON(v.String())
	case string:
		if strings.TrimSpace(v) == "" {
			return 0, false, nil
		}
		count, err = numeral.Parse(v)
	case bool:
		err = fmt.Errorf("%t is not a number", v)
	case unknownAlias:
		err = errors.New("the alias leads to no value")
	default:
		err = errors.New("a list or table is not a number")
	}
	return count, err == nil, err
}

// shortened returns the beginning of a text that is shown.
func shortened(text string) string {
	const most = 40 // characters: enough to find it
	if short := []rune(text); len(short) > most {
		return string(short[:most]) + "…"
	}
	return text
}
