package importer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
)

// Layout says where a table or document of counts holds what.
type Layout struct {
	// Topic and Count are the names of the columns or members; empty is topic and count.
	Topic, Count string
	// Template makes topics of what Topic holds, if it is not empty; see [Template].
	Template Template
	// Hosts, if not empty, are those whose pages are taken where Topic holds URLs.
	Hosts []string
}

// ParseColumns reads the columns of a layout from texts such as topic=path and count=views.
func ParseColumns(items []string) (layout Layout, err error) {
	for _, item := range items {
		name, column, ok := strings.Cut(item, "=")
		column = strings.TrimSpace(column)
		switch {
		case ok && column != "" && name == "topic":
			layout.Topic = column
		case ok && column != "" && name == "count":
			layout.Count = column
		default:
			return layout, fmt.Errorf("%q should be topic=COLUMN or count=COLUMN, such as topic=path,count=views", item)
		}
	}
	if layout.Topic != "" && strings.EqualFold(layout.Topic, layout.Count) {
		return layout, fmt.Errorf("topic and count both come from the column %s", layout.Topic)
	}
	return layout, nil
}

func (l Layout) names() (topic, count string) {
	return cmp.Or(l.Topic, "topic"), cmp.Or(l.Count, "count")
}

// ReadCountsCSV reads rows of a topic and its count. If the first row names the columns
// of layout they may stand anywhere, beside others; if layout names none they may also be
// the first two of a table without a header.
func ReadCountsCSV(file File, layout Layout) (Result, error) {
	return layout.read("line", func(a *collector, use func(name string, number scalar) error) error {
		text, err := file.open()
		if err != nil {
			return err
		}
		first, rows, err := openTable(text)
		if err != nil {
			return err
		}
		topicName, countName := layout.names()
		topicAt, countAt := table.Column(first, topicName), table.Column(first, countName)
		switch headed := topicAt >= 0 && countAt >= 0; {
		case headed && (table.Column(first[topicAt+1:], topicName) >= 0 || table.Column(first[countAt+1:], countName) >= 0):
			return fmt.Errorf("its first line names two columns %s or %s", topicName, countName)
		case headed:
		case layout.Topic == "" && layout.Count == "" && len(first) > 1 && isNumeral(first[1]):
			topicAt, countAt = 0, 1
			if err := a.record("", 1, use(first[0], scalar{text: first[1]})); err != nil {
				return err
			}
		default:
			return errNoColumns(first, topicName, countName)
		}
		return a.eachRow(rows, "", max(topicAt, countAt)+1, func(row []string) error {
			return use(row[topicAt], scalar{text: row[countAt]})
		})
	})
}

// errNoColumns says that a table lacks the columns that are read, and what to do.
func errNoColumns(first []string, topic, count string) error {
	advice := "--columns names other columns, such as topic=path,count=views, and --topic makes topics of paths, such as blog/views/{1}"
	switch {
	case first[0] == "1Path" || first[0] == "2Path":
		advice = "it looks like GoatCounter's export: --format goatcounter"
	case table.Column(first, "url_path") >= 0 && table.Column(first, "session_id") >= 0:
		advice = "it looks like Umami's export: --format umami"
	}
	return fmt.Errorf("its first line names no columns %s and %s, and is no topic and count: it is %.300q. %s", topic, count, strings.Join(first, ", "), advice)
}

// read returns the counts that each passes on. Where topics are made of URLs, it reads
// twice: first to learn which hosts there are.
func (l Layout) read(unit string, each func(a *collector, use func(name string, number scalar) error) error) (Result, error) {
	named := hosts{}
	madeOfNames := l.Template != Template{}
	if madeOfNames {
		err := each(newCollector(unit), func(name string, _ scalar) error { named.add(hostOfURL(name)); return nil })
		if err != nil {
			return Result{}, err
		}
	}
	chosen, err := named.filter(l.Hosts)
	if err != nil {
		return Result{}, err
	}
	a := newCollector(unit)
	err = each(a, func(name string, number scalar) error {
		if madeOfNames {
			if err := chosen.check(hostOfURL(name)); err != nil {
				return err
			}
		}
		return a.addText(l.Template, name, number)
	})
	a.noteHosts(chosen)
	return a.sorted(), err
}

// isNumeral reports whether text is written as a number, though maybe as one that can
// be read in two ways.
func isNumeral(text string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.Trim(text, "0123456789.,_:+-'\u2019 \u00a0\u202fxXeE") == ""
}

// addText adds an entry whose parts are texts.
func (a *collector) addText(template Template, name string, number scalar) error {
	topic, err := template.topic(name)
	if err != nil {
		return err
	}
	n, err := number.count()
	if err != nil {
		return fmt.Errorf("%s: %w", topic, err)
	}
	a.add(topic, n)
	return nil
}

// ReadCountsJSON reads an array of objects with topic and count, or one object of
// counts by topic.
func ReadCountsJSON(file File, layout Layout) (Result, error) {
	topicName, countName := layout.names()
	return layout.read("entry", func(a *collector, use func(name string, number scalar) error) error {
		text, err := file.open()
		if err != nil {
			return err
		}
		names := map[string]bool{}
		return eachJSON(text, func(line int64, name string, text json.RawMessage) error {
			var number scalar
			if names[name] {
				return a.record("", line, fmt.Errorf("%.300s: it is named twice", name))
			}
			names[name] = name != ""
			if name == "" {
				var object map[string]json.RawMessage
				var topic string
				if json.Unmarshal(text, &object) != nil || json.Unmarshal(object[topicName], &topic) != nil || topic == "" {
					return a.record("", line, fmt.Errorf("it is no object with %s and %s", topicName, countName))
				}
				name, text = topic, object[countName]
			}
			if len(text) == 0 || text[0] == '{' || json.Unmarshal(text, &number) != nil {
				return a.record("", line, fmt.Errorf("%.300s: its count is no number", name))
			}
			return a.record("", line, use(name, number))
		})
	})
}
