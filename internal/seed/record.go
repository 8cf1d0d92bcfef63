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

// record is a page's frontmatter, a row of a table or an object of a document.
type record struct {
	path  string // of the page below its folder, with slashes; empty if it is not a page
	key   string // of the page, if the record states it beside its fields; else empty
	line  int    // on which it begins
	field fields
}

// Seed is the seed of a topic and its place in a file.
type Seed struct {
	Topic tally.Topic
	Count int64
	File  string
	Line  int
}

// Problem is an error in a file, or a note on it.
type Problem struct {
	File   string
	Line   int // 0 for the whole file
	Reason string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Reason
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ": " + p.Reason
}

// fileResult collects the seeds and problems of a file.
type fileResult struct {
	file     string
	seeds    []Seed
	problems []Problem
	notes    []Problem
	due      time.Time // when the page is published; zero if that does not change
	// key is the key of a page, and pageKey the key by the rules of its site generator, if these rules
	// are not used; else both are empty.
	key, pageKey string
}

// refuseKey adds the problem of a page without a key, or a note if the page is not published.
func (f *fileResult) refuseKey(line int, err error) {
	hidden, ok := errors.AsType[*unpublished](err)
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

// addRecord adds the seeds of a record by the rules.
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
		if !ok && r.isHugo() {
			value, line, ok = rec.field("params." + field.Name) // the same field to Hugo
		}
		if !ok {
			continue
		}
		count, ok, err := countOf(value)
		switch {
		case err != nil:
			f.refuse(line, "%s: %v", field.Name, err)
		case ok:
			all = append(all, given{field, count, line})
		}
	}
	if len(all) == 0 {
		return // a record without numbers needs no key
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
			return // the same for each metric
		}
		f.seeds = append(f.seeds, Seed{topic, each.count, f.file, each.line})
		f.compareKey(r, topic.Key(), rec)
	}
}

// compareKey records the key of a page, and its key by the rules of its site generator.
func (f *fileResult) compareKey(r Rules, key string, rec record) {
	if r.project == nil || r.derivesKeys() || rec.path == "" {
		return
	}
	pageKey, err := r.project.keyOf(rec.path, rec.field)
	if err != nil {
		pageKey = "no page"
	}
	f.key, f.pageKey = key, pageKey
}

// addTopicRecord adds the seed or count of a record that names its topic, like records in responses and
// exports of the service.
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
		count, ok, err := countOf(value)
		switch {
		case err != nil:
			f.refuse(line, "%s: %v", field, err)
		case ok:
			f.seeds = append(f.seeds, Seed{topic, count, f.file, line})
		default:
			continue
		}
		return
	}
}

// countOf returns the count in a value. ok is false if the value is empty.
func countOf(value any) (count int64, ok bool, err error) {
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
		err = errors.New("the alias has no anchor")
	default:
		err = errors.New("a list or table is not a number")
	}
	return count, err == nil, err
}
